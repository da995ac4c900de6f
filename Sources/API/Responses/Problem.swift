import HTTPServer
import JSON

/// Why a request, or one image of it, has no answer. `ErrorFormat` makes it a document.
struct Problem: Error, Equatable, Sendable {
    let code: ProblemCode
    /// What is wrong here, where, and what to do about it.
    let detail: String
    /// Header fields that go with it, such as `Allow`.
    let headers: HTTPHeaders
    /// The member of the request's document that is at fault, if the document says so to clients of OpenAI's API.
    private(set) var parameter: String?

    init(_ code: ProblemCode, _ detail: String, headers: HTTPHeaders = [:]) {
        self.code = code
        self.detail = detail
        self.headers = headers
    }

    /// The same problem, of this member of the request's document.
    func about(_ parameter: String) -> Problem {
        var problem = self
        problem.parameter = parameter
        return problem
    }

    /// The same problem, its place in front.
    func located(in place: String) -> Problem { Problem(code, "\(place): \(detail)", headers: headers) }

    /// Writes the members of a problem document (RFC 9457).
    func write(members json: inout JSONWriter, requestID: String) {
        json.member("type", "urn:problem-type:headwater:\(code.rawValue)")
        json.member("title", code.title)
        json.member("status", code.status)
        json.member("detail", detail)
        json.member("error", detail)
        json.member("code", code.rawValue)
        json.member("requestId", requestID)
    }
}

/// The kinds of problem. Raw values are stable: clients may depend on them.
enum ProblemCode: String, Sendable, CaseIterable {
    case malformedRequest = "malformed_request"
    case unknownParameter = "unknown_parameter"
    case invalidParameter = "invalid_parameter"
    case malformedBody = "malformed_body"
    case unauthorized
    case pathForbidden = "path_forbidden"
    case pageForbidden = "page_forbidden"
    case notFound = "not_found"
    case modelNotFound = "model_not_found"
    case checkpointNotFound = "checkpoint_not_found"
    case methodNotAllowed = "method_not_allowed"
    case notAcceptable = "not_acceptable"
    case checkpointBusy = "checkpoint_busy"
    case noPreviousCheckpoint = "no_previous_checkpoint"
    case noModelDirectory = "no_model_directory"
    case modelAmbiguous = "model_ambiguous"
    case modelInUse = "model_in_use"
    case bodyTooLarge = "body_too_large"
    case imageTooLarge = "image_too_large"
    case tooManyImages = "too_many_images"
    case unsupportedMediaType = "unsupported_media_type"
    case unsupportedImage = "unsupported_image"
    case unprocessableImage = "unprocessable_image"
    case noImages = "no_images"
    case unknownTap = "unknown_tap"
    case noHead = "no_head"
    case endsBeforeNoise = "ends_before_noise"
    case checkpointRejected = "checkpoint_rejected"
    case tooManyWrongKeys = "too_many_wrong_keys"
    case headersTooLarge = "headers_too_large"
    case internalError = "internal_error"
    case notFinite = "not_finite"
    case notImplemented = "not_implemented"
    case overloaded
    case starting
    case stopping
    case stuck
    case unavailable
    case deadlineExceeded = "deadline_exceeded"
    case insufficientStorage = "insufficient_storage"
    case insufficientMemory = "insufficient_memory"

    var status: Int {
        switch self {
        case .malformedRequest, .unknownParameter, .invalidParameter, .malformedBody: 400
        case .unauthorized: 401
        case .pathForbidden, .pageForbidden: 403
        case .notFound, .modelNotFound, .checkpointNotFound: 404
        case .methodNotAllowed: 405
        case .notAcceptable: 406
        case .checkpointBusy, .noPreviousCheckpoint, .noModelDirectory, .modelAmbiguous, .modelInUse: 409
        case .bodyTooLarge, .imageTooLarge, .tooManyImages: 413
        case .unsupportedMediaType, .unsupportedImage: 415
        case .unprocessableImage, .noImages, .unknownTap, .noHead, .endsBeforeNoise,
            .checkpointRejected:
            422
        case .tooManyWrongKeys: 429
        case .headersTooLarge: 431
        case .internalError, .notFinite: 500
        case .notImplemented: 501
        case .overloaded, .starting, .stopping, .stuck, .unavailable: 503
        case .deadlineExceeded: 504
        case .insufficientStorage, .insufficientMemory: 507
        }
    }

    /// What the kind is called, the same for every occurrence: the code in words, unless these say too little.
    var title: String {
        switch self {
        case .unauthorized: "Key missing or wrong"
        case .pathForbidden: "Path outside the model directory"
        case .pageForbidden: "Sent by a web page"
        case .checkpointBusy: "Another checkpoint is being loaded"
        case .modelAmbiguous: "Several checkpoints with one name"
        case .noImages: "No image"
        case .noHead: "The model does not classify"
        case .endsBeforeNoise: "The model's grid ends before noise"
        case .notFinite: "Numbers became infinite or NaN"
        default: rawValue.prefix(1).uppercased() + rawValue.dropFirst().replacing("_", with: " ")
        }
    }

    /// The code for what the transport refuses by status alone.
    init(transportStatus: Int) {
        switch transportStatus {
        case 400: self = .malformedRequest
        case 413: self = .bodyTooLarge
        case 431: self = .headersTooLarge
        case 501: self = .notImplemented
        case 503: self = .unavailable
        case 507: self = .insufficientStorage
        default: self = .internalError
        }
    }
}
