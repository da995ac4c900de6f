public import ImagePipeline
public import ReverseODE

/// One image of a request.
public enum FeatureInput: Sendable {
    /// An image file.
    case encoded([UInt8])
    /// A normalised model input, [3][side][side].
    case normalized([Float])
}

/// Which taps a request wants.
public enum TapSelection: Equatable, Sendable {
    /// The model's default tap.
    case modelDefault
    /// These times at the place of the model's default tap, which only the model that will serve the request knows.
    case times([TapTime])
    /// These.
    case taps([Tap])
    /// The states on the way upstream and back, at most so many of each way; see `ReversibleModel.roundTripTaps(atMost:)`.
    case roundTrip(atMost: Int)

    /// How many taps that is, at most.
    public var count: Int {
        switch self {
        case .modelDefault: 1
        case .times(let times): times.count
        case .taps(let taps): taps.count
        case .roundTrip(let count): 2 * count
        }
    }
}

/// Which model a request insists on.
public struct ModelRequirement: Equatable, Sendable {
    /// The model's name.
    public let name: String
    /// The first 12 or all 64 digits of the checkpoint's digest; nil for any version.
    public let version: String?

    /// Insists on a name, and perhaps a version.
    public init(name: String, version: String?) {
        self.name = name
        self.version = version
    }

    /// Whether that version is one that was meant.
    public func isMet(by served: ModelVersion) -> Bool {
        name == served.name && (version == nil || version == served.label || version == served.sha256)
    }
}

/// What is wanted of a request's images.
public struct FeatureRequest: Sendable {
    /// The taps wanted.
    public var taps: TapSelection
    /// Whether to classify.
    public var wantsLogits: Bool
    /// Whether a model that can't classify is to answer without logits rather than refuse.
    public var isHeadOptional = false
    /// The model that is to answer; nil for the one that serves.
    public var model: ModelRequirement?
    /// When an answer is no longer of use.
    public var deadline: ContinuousClock.Instant?

    /// Describes a request by its selection of taps.
    public init(_ taps: TapSelection, wantsLogits: Bool = false) {
        self.taps = taps
        self.wantsLogits = wantsLogits
    }

    /// Describes a request.
    ///
    /// - Parameter taps: the taps; nil for the model's default tap, or for none if logits are wanted.
    public init(taps: [Tap]? = nil, wantsLogits: Bool = false, deadline: ContinuousClock.Instant? = nil) {
        self.init(taps.map { .taps($0) } ?? (wantsLogits ? .taps([]) : .modelDefault), wantsLogits: wantsLogits)
        self.deadline = deadline
    }
}

/// One image's answer.
public struct ImageFeatures: Sendable {
    /// The taps, in the order of the request.
    public let taps: [ResolvedTap]
    /// The numbers of each tap.
    public let values: [[Float]]
    /// The logits, if asked for.
    public let logits: [Float]?
}

/// Why one image has no answer; the others of its request may have theirs.
public enum ImageFailure: Error, Sendable, Equatable {
    /// The bytes are no image that can be served.
    case image(ImageError)
    /// A normalised input had so many numbers instead of the model's.
    case inputCount(found: Int, expected: Int)
    /// The state became infinite or NaN during the pass.
    case notFinite
}

/// A request's answer.
public struct FeatureResponse: Sendable {
    /// The model that computed all of it.
    public let served: ServedModel
    /// One answer an image, in the order of the request.
    public let results: [Result<ImageFeatures, ImageFailure>]
    /// Where each of them comes from; empty if answers are not kept.
    public let sources: [AnswerSource]
    /// Where the time went.
    public let timings: FeatureTimings
}

/// Where an image's answer comes from, if answers are kept.
public enum AnswerSource: String, Sendable, CaseIterable {
    /// It was kept.
    case hit
    /// It was being computed for another request, or for another place of the same request.
    case shared
    /// It was computed for this request.
    case miss
}

/// Where a request's time went, in seconds; for several images, that of the slowest.
public struct FeatureTimings: Sendable, Equatable {
    /// Decoding and resizing, the wait for a decoder and ``lookup`` included.
    public var decode = 0.0
    /// Looking for answers that are kept.
    public var lookup = 0.0
    /// From admission to the first step.
    public var queue = 0.0
    /// From the first step to the last.
    public var inference = 0.0
}

/// Why a whole request has no answer.
public enum FeatureServiceError: Error, Sendable, Equatable {
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
    /// Classification was asked of a model without a head.
    case noHead
    /// The client went away.
    case cancelled
}

/// What happens in the service, for metrics. Called from the service's own context: handlers must be quick.
public struct ServiceEvents: Sendable {
    /// A step: images in the batch, seconds.
    public var stepped: @Sendable (_ batch: Int, _ seconds: Double) -> Void = { _, _ in }
    /// A request was refused because of the work ahead of it.
    public var rejected: @Sendable (_ limit: AdmissionLimit) -> Void = { _ in }
    /// A request's deadline passed.
    public var expired: @Sendable () -> Void = {}
    /// A client went away before its answer.
    public var abandoned: @Sendable () -> Void = {}
    /// An image's state became infinite or NaN.
    public var notFinite: @Sendable () -> Void = {}
    /// An image's answer is ready.
    public var completed: @Sendable () -> Void = {}
    /// An image was looked up among the answers kept.
    public var answered: @Sendable (_ source: AnswerSource) -> Void = { _ in }

    /// Handlers that do nothing until they are set.
    public init() {}
}

/// The service at a moment.
public struct ServiceStatus: Sendable, Equatable {
    /// Whether a model is loaded and its warm-up done.
    public let isStarted: Bool
    /// Whether the next request would be served.
    public let isReady: Bool
    /// Whether the engine has made progress lately, if it had work.
    public let isLive: Bool
    /// Whether it is about to stop.
    public let isDraining: Bool
    /// Images admitted that wait for their first step, those being decoded included.
    public let waiting: Int
    /// Those of them that are to be decoded.
    public let decoding: Int
    /// Images in flight.
    public let inFlight: Int
    /// Seconds that the work ahead of the next request takes at the present rate.
    public let expectedWait: Double
    /// Bytes of answers kept.
    public let cachedBytes: Int
}
