import Networks

/// How far a pass goes: the last position that is read, and the last place whose activations are read there.
public struct PassExtent: Sendable, Equatable {
    /// See `TimeGrid.index(at:)`.
    let lastPosition: Int
    /// The last place whose activations are wanted at the last position; nil if none are.
    let lastPlace: ActivationPlace?

    /// The extent of a pass that reads `taps`, resolved on `model`, and classifies where the head reads if logits are wanted.
    public init(taps: [ResolvedTap], wantsLogits: Bool, model: ReversibleModel) {
        let grid = model.grid
        let last = max(wantsLogits ? model.headIndex : 0, taps.map { $0.position(on: grid) }.max() ?? 0)
        let headPlace = model.configuration.head?.place
        var places = taps.filter { $0.position(on: grid) == last }.compactMap { $0.activations(headPlace)?.place }
        if wantsLogits && last == model.headIndex, let headPlace { places.append(headPlace.place) }
        let network = model.field.program
        lastPosition = last
        lastPlace = places.max { network.operationCount(through: $0) < network.operationCount(through: $1) }
    }

    /// Floating-point operations of the pass for one image, as `NetworkProgram.floatingPointOperations` counts them.
    public func operations(from start: PassStart = .image, on model: ReversibleModel) -> Double {
        operations(from: start.position(on: model.grid), stage: 0, on: model)
    }

    /// Those left when a pass is at a position and has evaluated so many stages of the step that begins there.
    func operations(from position: Int, stage: Int, on model: ReversibleModel) -> Double {
        let whole = (lastPosition - position) * model.schedule.stages.count - stage
        return Double(whole) * model.operationsPerEvaluation + (lastPlace.map { model.operations(through: $0) } ?? 0)
    }
}
