import FeatureService
import ImagePipeline

/// What a pass begins with, which decides what may have made its numbers infinite.
enum PassInput: Sendable {
    case image
    /// Numbers that the client sent; to make them infinite is the client's error.
    case numbers
    /// Noise, or a latent.
    case latent
}

extension Problem {
    /// Why one image has no features, or could not be made.
    init(_ failure: ImageFailure, of input: PassInput = .image) {
        switch failure {
        case .image(let error): self.init(error.kind.problemCode, error.message)
        case .inputCount(let found, let expected):
            self.init(.unprocessableImage, "the input has \(found) numbers; the model takes \(expected)")
        case .notFinite where input == .numbers:
            self.init(
                .unprocessableImage,
                "the model's numbers became infinite or NaN; check that the inputs are normalised as GET /model describes"
            )
        case .notFinite where input == .latent:
            self.init(
                .notFinite,
                "the image became infinite or NaN on its way from noise; serve a model with a finer grid, made with "
                    + "'headwater convert --t-span'")
        case .notFinite:
            self.init(.notFinite, "the model's numbers became infinite or NaN on this image, so it has no features")
        }
    }

    /// Why a whole request has no answer.
    init(_ error: FeatureServiceError) {
        switch error {
        case .overloaded(let seconds):
            self.init(
                .overloaded, "the service is overloaded; try again in \(seconds) s",
                headers: ["Retry-After": "\(seconds)"])
        case .deadlineExceeded:
            self.init(
                .deadlineExceeded,
                "the deadline passed before the result was ready; X-Request-Timeout sets a longer one")
        case .starting: self = .starting
        case .draining: self = .stopping
        case .otherModel(let serving): self = .unknownModel(serving: serving)
        case .tap(let error): self.init(.unknownTap, "\(error)")
        case .tooManyNumbers(let count, let limit):
            self.init(
                .invalidParameter,
                "the answer would have \(count) numbers, and it may have \(limit); ask for fewer images or taps at a time"
            )
        case .noHead: self.init(.noHead, "the model is pretrained only: it has no head to classify with; use /embed")
        case .endsBeforeNoise(let time):
            self.init(
                .endsBeforeNoise,
                "the model's grid ends at the time \(time), before noise, so no image can start there; serve a model "
                    + "whose grid reaches noise, made with 'headwater convert --t-span' or 'headwater import --sigma-max'"
            )
        case .cancelled: self.init(.unavailable, "the request was abandoned", headers: ["Retry-After": "1"])
        }
    }

    static func unknownModel(serving: ModelVersion) -> Problem {
        Problem(
            .modelNotFound,
            "no served model has this name and version; the serving model is \(serving.name), version \(serving.label)")
    }

    /// No model is loaded yet.
    static var starting: Problem {
        Problem(.starting, "no model is loaded yet; try again soon", headers: ["Retry-After": "1"])
    }

    /// The service is stopping; another replica takes the next request.
    static var stopping: Problem {
        Problem(.stopping, "the service is stopping", headers: ["Retry-After": "1"])
    }
}

extension ImageError.Kind {
    /// 415 for a format that isn't supported, 413 for an image that is too large, 422 for one that can't be decoded.
    fileprivate var problemCode: ProblemCode {
        switch self {
        case .unrecognised, .unsupported: .unsupportedImage
        case .tooLarge: .imageTooLarge
        case .truncated, .corrupt, .tooElongated, .empty: .unprocessableImage
        }
    }
}
