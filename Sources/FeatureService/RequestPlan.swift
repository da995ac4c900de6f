import Digests
import ImagePipeline
import ReverseODE
import Tensor

/// A request's wishes, checked against the model that will serve it.
struct RequestPlan: Sendable {
    let served: ServedModel
    let taps: [ResolvedTap]
    let wantsLogits: Bool
    /// Where its passes begin.
    let start: PassStart
    let deadline: ContinuousClock.Instant?
    let traceObserver: FeatureTrace.Observer?

    init(_ request: FeatureRequest, served: ServedModel) throws(FeatureServiceError) {
        if let model = request.model, !model.isMet(by: served.version) { throw .otherModel(serving: served.version) }
        let hasHead = served.model.head != nil
        guard hasHead || !request.wantsLogits || request.isHeadOptional else { throw .noHead }
        self.served = served
        wantsLogits = request.wantsLogits && hasHead
        deadline = request.deadline
        traceObserver = request.traceObserver
        start = if case .generatedImage = request.taps { .gridEnd } else { .image }
        let grid = served.model.grid
        if request.taps == .generatedImage(fromNoise: true), !grid.reachesNoise {
            throw .endsBeforeNoise(time: grid.times[grid.steps])
        }
        do throws(TapError) {
            taps = try Self.resolve(request.taps, model: served.model)
        } catch {
            throw .tap(error)
        }
    }

    private static func resolve(_ selection: TapSelection, model: ReversibleModel) throws(TapError) -> [ResolvedTap] {
        var resolved: [ResolvedTap] = []
        switch selection {
        case .modelDefault: resolved = [try model.defaultTap()]
        case .times(let times):
            let place = try model.defaultTap().place
            for time in times { resolved.append(try model.resolve(Tap(time: time, place: place))) }
        case .places(let places):
            for place in places { resolved.append(try model.resolve(Tap(time: model.usualTime, place: place))) }
        case .taps(let taps):
            for tap in taps { resolved.append(try model.resolve(tap)) }
        case .roundTrip(let count): resolved = model.roundTripTaps(atMost: count)
        case .latent: resolved = [model.latentTap]
        case .generatedImage: resolved = [model.imageTap]
        }
        return resolved
    }

    /// How many numbers the embeddings of an image have.
    var numbers: Int { taps.reduce(0) { $0 + $1.dimension } }

    /// Floating-point operations of one image.
    var operations: Double {
        PassExtent(taps: taps, wantsLogits: wantsLogits, model: served.model).operations(from: start, on: served.model)
    }

    func key(of image: SHA256.Digest, decoding: DecodingMode) -> AnswerKey {
        AnswerKey(version: served.version, image: image, decoding: decoding, taps: taps, wantsLogits: wantsLogits)
    }

    func trajectory(_ input: [Float], kernels: Kernels) -> Trajectory {
        Trajectory(
            input: input, from: start, taps: taps, wantsLogits: wantsLogits, model: served.model, kernels: kernels)
    }
}
