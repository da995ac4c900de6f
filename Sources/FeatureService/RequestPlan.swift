import Digests
import ImagePipeline
import ReverseODE
import Tensor

/// A request's wishes, checked against the model that will serve it.
struct RequestPlan: Sendable {
    let served: ServedModel
    let taps: [ResolvedTap]
    let wantsLogits: Bool
    let deadline: ContinuousClock.Instant?

    init(_ request: FeatureRequest, served: ServedModel) throws(FeatureServiceError) {
        guard !request.wantsLogits || served.model.head != nil else { throw .noHead }
        self.served = served
        wantsLogits = request.wantsLogits
        deadline = request.deadline
        do throws(TapError) {
            var resolved: [ResolvedTap] = []
            if let taps = request.taps {
                for tap in taps { resolved.append(try served.model.resolve(tap)) }
            } else if let times = request.defaultPlaceTimes {
                let place = try served.model.defaultTap().place
                for time in times { resolved.append(try served.model.resolve(Tap(time: time, place: place))) }
            } else if !request.wantsLogits {
                resolved = [try served.model.defaultTap()]
            }
            taps = resolved
        } catch {
            throw .tap(error)
        }
    }

    func key(of image: SHA256.Digest, decoding: DecodingMode) -> AnswerKey {
        AnswerKey(
            version: served.version, image: image, decoding: decoding, taps: taps, wantsLogits: wantsLogits)
    }

    func trajectory(_ input: [Float], kernels: Kernels) -> Trajectory {
        Trajectory(input: input, taps: taps, wantsLogits: wantsLogits, model: served.model, kernels: kernels)
    }
}
