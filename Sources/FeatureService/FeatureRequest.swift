import ImagePipeline
import ReverseODE

package enum FeatureInput: Sendable {
    /// An image file.
    case encoded([UInt8])
    /// A normalised model input, [3][side][side].
    case normalized([Float])
    /// A fraction of the way between two latents, [3][side][side], where a pass to an image begins.
    case latent(LatentPath, at: Double)
    /// An image's share of the noise, where a pass to an image begins.
    case noise(GenerationNoise, image: Int)
}

/// Which taps a request wants.
package enum TapSelection: Equatable, Sendable {
    /// The model's default tap.
    case modelDefault
    /// These times at the place of the model's default tap, which only the model that will serve the request knows.
    case times([TapTime])
    /// These places at the model's usual time; see `AvailableTaps.usualTime`.
    case places([TapPlace])
    /// These.
    case taps([Tap])
    /// The states on the way upstream and back, at most so many of each way; see `ReversibleModel.roundTripTaps(atMost:)`.
    case roundTrip(atMost: Int)
    /// The state at the end of the grid: an image's latent.
    case latent
    /// The image that a pass from the end of the grid comes to. All inputs are then latents or noise, and for noise the grid must
    /// reach it.
    case generatedImage(fromNoise: Bool)

    package var count: Int {
        switch self {
        case .modelDefault, .latent, .generatedImage: 1
        case .times(let times): times.count
        case .places(let places): places.count
        case .taps(let taps): taps.count
        case .roundTrip(let count): 2 * count
        }
    }
}

/// Which model a request insists on.
package struct ModelRequirement: Equatable, Sendable {
    package let name: String
    /// The first 12 or all 64 digits of the checkpoint's digest; nil for any version.
    package let version: String?

    package init(name: String, version: String?) {
        self.name = name
        self.version = version
    }

    /// Whether that version is one that was meant.
    package func isMet(by served: ModelVersion) -> Bool {
        name == served.name && (version == nil || version == served.label || version == served.sha256)
    }
}

package struct FeatureRequest: Sendable {
    package var taps: TapSelection
    package var wantsLogits: Bool
    /// Whether a model that can't classify is to answer without logits rather than refuse.
    package var isHeadOptional = false
    /// The model that is to answer; nil for the one that serves.
    package var model: ModelRequirement?
    /// When an answer is no longer of use.
    package var deadline: ContinuousClock.Instant?
    /// The memory that its numbers may take; nil for any.
    package var memory: AnswerMemory?
    /// Receives the request's trace before the request is answered or fails; nil to trace nothing.
    package var traceObserver: FeatureTrace.Observer?

    package init(_ taps: TapSelection, wantsLogits: Bool = false) {
        self.taps = taps
        self.wantsLogits = wantsLogits
    }

    /// Describes a request.
    ///
    /// - Parameter taps: the taps; nil for the model's default tap, or for none if logits are wanted.
    package init(taps: [Tap]? = nil, wantsLogits: Bool = false, deadline: ContinuousClock.Instant? = nil) {
        self.init(taps.map { .taps($0) } ?? (wantsLogits ? .taps([]) : .modelDefault), wantsLogits: wantsLogits)
        self.deadline = deadline
    }
}

/// Memory for the numbers of an answer.
package struct AnswerMemory: Sendable {
    /// The most numbers of the embeddings that a client may choose for a request: 32 MiB, and about 110 MiB more as JSON.
    package static let maximumNumbersOfEmbeddings = 1 << 23

    /// The most numbers of all images together.
    let maximumNumbers: Int
    /// Takes memory for so many numbers until the answer is sent; false if there isn't as much.
    let take: @Sendable (_ numbers: Int) -> Bool

    package init(maximumNumbers: Int = .max, take: @escaping @Sendable (_ numbers: Int) -> Bool) {
        self.maximumNumbers = maximumNumbers
        self.take = take
    }
}

package struct ImageFeatures: Sendable {
    /// The taps, in the order of the request.
    package let taps: [ResolvedTap]
    package let values: [[Float]]
    /// The logits, if asked for.
    package let logits: [Float]?
}

/// Why one image has no answer; the others of its request may have theirs.
package enum ImageFailure: Error, Sendable, Equatable {
    /// The bytes are no image that can be served.
    case image(ImageError)
    /// A normalised input had so many numbers instead of the model's.
    case inputCount(found: Int, expected: Int)
    /// The state became infinite or NaN during the pass, or the features are.
    case notFinite
}

package struct FeatureResponse: Sendable {
    /// The model that computed all of it.
    package let served: ServedModel
    /// One answer an image, in the order of the request.
    package let results: [Result<ImageFeatures, ImageFailure>]
    /// Where the answer of each image that was looked up comes from; empty if answers are not kept.
    package let sources: [AnswerSource]
    package let timings: FeatureTimings
}

/// Where an image's answer comes from, if answers are kept.
package enum AnswerSource: String, Sendable, CaseIterable {
    /// It was kept.
    case hit
    /// It was being computed for another request, or for another place of the same request.
    case shared
    /// It was computed for this request.
    case miss
}

/// Where a request's time went, in seconds; for several images, that of the slowest.
package struct FeatureTimings: Sendable, Equatable {
    /// Decoding and resizing, the wait for a decoder and ``lookup`` included.
    package var decode = 0.0
    /// Looking for answers that are kept.
    package var lookup = 0.0
    /// From the end of decoding to the first step.
    package var queue = 0.0
    /// From the first step to the last.
    package var inference = 0.0

    /// The times of two pieces of work that are done one after the other.
    package static func + (first: FeatureTimings, second: FeatureTimings) -> FeatureTimings {
        var sum = first
        sum.decode += second.decode
        sum.lookup += second.lookup
        sum.queue += second.queue
        sum.inference += second.inference
        return sum
    }
}

/// Why a whole request has no answer.
package enum FeatureServiceError: Error, Sendable, Equatable {
    /// There is as much work ahead as is accepted; it is worth trying again after so many seconds.
    case overloaded(retryAfter: Int)
    /// The deadline passed first.
    case deadlineExceeded
    /// No model is loaded yet.
    case starting
    /// The service is about to stop.
    case draining
    /// The request insists on a model that doesn't serve; this one does.
    case otherModel(serving: ModelVersion)
    /// The model has no such tap.
    case tap(TapError)
    /// The results of all images have so many numbers together, more than an answer may have.
    case tooManyNumbers(Int, atMost: Int)
    /// Classification was asked of a model without a head.
    case noHead
    /// Images from noise were asked of a model whose grid ends at that time, before noise.
    case endsBeforeNoise(time: Float)
    /// The client went away.
    case cancelled
}

/// What happens in the service, for metrics. Called from the service's own context: handlers must be quick.
package struct ServiceEvents: Sendable {
    /// A step: images in the batch, seconds.
    package var stepped: @Sendable (_ batch: Int, _ seconds: Double) -> Void = { _, _ in }
    /// A request was refused because of the work ahead of it.
    package var rejected: @Sendable (_ limit: AdmissionLimit) -> Void = { _ in }
    package var expired: @Sendable () -> Void = {}
    /// A client went away before its answer.
    package var abandoned: @Sendable () -> Void = {}
    package var notFinite: @Sendable () -> Void = {}
    package var completed: @Sendable () -> Void = {}
    /// An image was made that began at the end of the grid.
    package var generated: @Sendable () -> Void = {}
    /// An image was looked up among the answers kept.
    package var answered: @Sendable (_ source: AnswerSource) -> Void = { _ in }

    package init() {}
}

package struct ServiceStatus: Sendable, Equatable {
    /// Whether a model is loaded and its warm-up done.
    package let isStarted: Bool
    /// Whether the next request would be served.
    package let isReady: Bool
    /// Whether the engine has made progress lately, if it had work.
    package let isLive: Bool
    package let isDraining: Bool
    /// Images admitted that wait for their first step, those being decoded included.
    package let waiting: Int
    /// Those of them that are to be decoded.
    package let decoding: Int
    package let inFlight: Int
    /// Seconds that the work ahead of the next request takes at the present rate.
    package let expectedWait: Double
    /// Bytes of answers kept.
    package let cachedBytes: Int
}
