import CKernels
import FlowModel
import Networks
import Tensor

/// One image on its way upstream, and if a tap wants it on its way back: its state, where it is, and what has been read of it
/// so far. A value; its buffers are allocated once and changed in place.
public struct Trajectory: Sendable {
    /// Where it began.
    public let start: PassStart
    /// The taps wanted.
    public let taps: [ResolvedTap]
    /// The numbers of each tap, in the order of `taps`; empty until the pass has come to its time.
    public private(set) var features: [[Float]]
    /// The head's logits, if they were asked for and the pass has come to where the head reads.
    public private(set) var logits: [Float]?
    /// Evaluations done.
    public private(set) var evaluations = 0
    /// Whether everything wanted has been read.
    public private(set) var isFinished = false
    /// The state at the grid point reached last, [3][side][side], in units in which its variance is the same everywhere; see
    /// `ParametrisedFlow.unit(at:)`.
    public var state: [Float] { unit == 1 ? integration.state : integration.state.map { $0 * unit } }

    private var integration: Integration
    private let wantsLogits: Bool
    /// Where the head reads, if not the pooled state.
    private let headPlace: ActivationMeans?
    /// Where the state is, or the current step leaves from; see `TimeGrid.index(at:)`.
    private var position: Int
    private let extent: PassExtent
    /// What the state is multiplied by where it is.
    private var unit: Float = 1

    /// Starts a trajectory.
    /// - Parameters:
    ///   - input: the numbers at the start, [3][side][side], in the form that ``PassStart`` gives for `start`.
    ///   - start: where the trajectory begins.
    ///   - taps: what to read, resolved on the same model; none of it before the start.
    ///   - wantsLogits: whether to classify at the point at which the head reads. The model must have a head, and the pass must
    ///     not begin after that point.
    ///   - model: the model that the trajectory will be advanced with.
    public init(
        input: [Float], from start: PassStart = .image, taps: [ResolvedTap], wantsLogits: Bool, model: ReversibleModel,
        kernels: Kernels
    ) {
        precondition(input.count == model.stateCount)
        precondition(!wantsLogits || model.head != nil)
        self.start = start
        position = start.position(on: model.grid)
        precondition(taps.allSatisfy { [position] in $0.position(on: model.grid) >= position })
        self.taps = taps
        self.wantsLogits = wantsLogits
        let scale = start.scale(on: model.grid)
        integration = Integration(from: scale == 1 ? input : input.map { $0 * scale }, by: model.schedule.solver)
        features = taps.map { _ in [] }
        extent = PassExtent(taps: taps, wantsLogits: wantsLogits, model: model)
        headPlace = model.configuration.head?.place
        arrive(model: model, kernels: kernels)
    }

    /// Floating-point operations that remain until it is finished; see `PassExtent.operations(from:stage:on:)`.
    public func remainingOperations(model: ReversibleModel) -> Double {
        isFinished ? 0 : extent.operations(from: position, stage: integration.stage, on: model)
    }

    /// Makes this trajectory image `n` of the evaluator's next batch.
    func prepare(_ n: Int, of evaluator: VelocityEvaluator, model: ReversibleModel) {
        let time = model.schedule.indices[position][integration.stage]
        integration.input.withUnsafeBufferPointer {
            evaluator.setInput(
                n, planes: $0.baseAddress!, scale: model.schedule.evaluations[time].c, time: time,
                through: position < extent.lastPosition ? nil : extent.lastPlace,
                reading: integration.stage == 0 ? meansWanted(of: model) : [])
        }
    }

    /// What the evaluation at the grid point where the trajectory is reads of activations.
    private func meansWanted(of model: ReversibleModel) -> Set<ActivationMeans> {
        var wanted: Set<ActivationMeans> = []
        for tap in taps where tap.position(on: model.grid) == position {
            if let means = tap.activations(headPlace) { wanted.insert(means) }
        }
        if wantsLogits && position == model.headIndex, let headPlace { wanted.insert(headPlace) }
        return wanted
    }

    /// How far the next evaluation must go, in the network's operations.
    func operationsWanted(of model: ReversibleModel) -> Int {
        guard position == extent.lastPosition, let lastPlace = extent.lastPlace else { return .max }
        return model.field.program.operationCount(through: lastPlace)
    }

    /// Takes image `n` of the evaluation just done and moves on by one stage of a step.
    mutating func advance(_ n: Int, of evaluator: VelocityEvaluator, model: ReversibleModel) {
        evaluations += 1
        if integration.stage == 0 { readActivations(n, of: evaluator, model: model) }
        guard position < extent.lastPosition else {
            isFinished = true
            return
        }
        let grid = model.grid
        let (from, to) = (grid.index(at: position), grid.index(at: position + 1))
        let isAtNextPoint = integration.advance(
            by: grid.direction * (grid.points[to] - grid.points[from]),
            model.schedule.evaluations[model.schedule.indices[position][integration.stage]],
            isFirstInDirection: position == 0 || position == grid.steps
        ) { evaluator.copyVelocity(n, into: $0) }
        guard isAtNextPoint else { return }
        position += 1
        arrive(model: model, kernels: evaluator.workspace.kernels)
    }

    /// Reads what is wanted of the state at the grid point just come to.
    private mutating func arrive(model: ReversibleModel, kernels: Kernels) {
        unit = model.grid.units[model.grid.index(at: position)]
        let classifies = wantsLogits && headPlace == nil && position == model.headIndex
        var pooled: [Float]?
        var activations: [Float]?
        func pool(_ state: [Float]) -> [Float] {
            AveragePool.pool(state, side: model.side, to: model.configuration.pooledSize)
        }
        for (i, tap) in taps.enumerated() where tap.position(on: model.grid) == position {
            switch tap.place {
            case .state: features[i] = state
            case .pooled:
                pooled = pooled ?? pool(state)
                features[i] = pooled!
            case .head where headPlace == nil:
                pooled = pooled ?? pool(state)
                activations = activations ?? model.head?.activations(pooled!, kernels: kernels)
                features[i] = activations ?? []
            case .head, .activation: continue
            }
        }
        if classifies, let head = model.head {
            let activations = activations ?? head.activations(pooled ?? pool(state), kernels: kernels)
            logits = head.logits(activations: activations, kernels: kernels)
        }
        isFinished = position == extent.lastPosition && extent.lastPlace == nil
    }

    /// Reads what is wanted of the evaluation at the grid point where the trajectory is.
    private mutating func readActivations(_ n: Int, of evaluator: VelocityEvaluator, model: ReversibleModel) {
        let means = evaluator.takeMeans(ofImage: n)
        let kernels = evaluator.workspace.kernels
        let activations = headPlace.flatMap { means[$0] }.flatMap { model.head?.activations($0, kernels: kernels) }
        for (i, tap) in taps.enumerated() where tap.position(on: model.grid) == position {
            switch tap.place {
            case .activation(let wanted): features[i] = means[wanted]!
            case .head where headPlace != nil: features[i] = activations!
            case .state, .pooled, .head: continue
            }
        }
        if wantsLogits && headPlace != nil && position == model.headIndex {
            logits = model.head?.logits(activations: activations!, kernels: kernels)
        }
    }

    /// Whether every number of the state is finite, and of a finished trajectory every number read of it. Activations may
    /// overflow although the state has not.
    public var isFinite: Bool {
        func isFinite(_ numbers: [Float]) -> Bool {
            numbers.withUnsafeBufferPointer { hw_all_finite($0.baseAddress, $0.count) }
        }
        return isFinite(integration.state)
            && (!isFinished || (features.allSatisfy(isFinite) && logits.map(isFinite) ?? true))
    }
}

extension ResolvedTap {
    /// The position at which a trajectory reads the tap.
    func position(on grid: TimeGrid) -> Int { grid.position(of: gridIndex, going: direction) }

    /// What the tap reads of the activations of an evaluation at its state, on a model whose head reads at `headPlace`, or the
    /// pooled state; nil if the state itself is enough.
    func activations(_ headPlace: ActivationMeans?) -> ActivationMeans? {
        switch place {
        case .activation(let means): means
        case .head: headPlace
        case .state, .pooled: nil
        }
    }
}
