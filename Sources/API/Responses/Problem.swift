import HTTPServer
import JSON

/// Why a request, or one image of it, has no answer.
struct Problem: Error, Equatable, Sendable {
    /// The kind of problem.
    let code: ProblemCode
    /// What is wrong here, where, and what to do about it.
    let detail: String
    /// Header fields that go with it, such as `Allow`.
    let headers: HTTPHeaders

    init(_ code: ProblemCode, _ detail: String, headers: HTTPHeaders = [:]) {
        self.code = code
        self.detail = detail
        self.headers = headers
    }

    /// The same problem, its place in front.
    func located(in place: String) -> Problem { Problem(code, "\(place): \(detail)", headers: headers) }

    /// The `Content-Type` of problem documents.
    static let mediaType = "application/problem+json"

    /// The response, without the headers that every response has.
    func response(requestID: String) -> Response {
        var json = JSONWriter()
        json.object { write(members: &$0, requestID: requestID) }
        var headers = headers
        headers["Content-Type"] = Self.mediaType
        return Response(status: code.status, headers: headers, body: json.bytes)
    }

    /// Writes the members of a problem document (RFC 9457). It may have members of its own (3.2). With the member `error` it is
    /// also an error of the Open Inference Protocol, so that clients of that protocol can read errors of every path, unknown
    /// ones included.
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

    /// The HTTP status that goes with it.
    var status: Int { description.status }

    /// What the kind is called, the same for every occurrence.
    var title: String { description.title }

    private var description: (status: Int, title: String) {
        switch self {
        case .malformedRequest: (400, "Malformed request")
        case .unknownParameter: (400, "Unknown parameter")
        case .invalidParameter: (400, "Invalid parameter")
        case .malformedBody: (400, "Malformed body")
        case .unauthorized: (401, "Key missing or wrong")
        case .pathForbidden: (403, "Path outside the model directory")
        case .pageForbidden: (403, "Sent by a web page")
        case .notFound: (404, "Not found")
        case .modelNotFound: (404, "Model not found")
        case .checkpointNotFound: (404, "Checkpoint not found")
        case .methodNotAllowed: (405, "Method not allowed")
        case .notAcceptable: (406, "Not acceptable")
        case .checkpointBusy: (409, "Another checkpoint is being loaded")
        case .noPreviousCheckpoint: (409, "No previous checkpoint")
        case .noModelDirectory: (409, "No model directory")
        case .modelAmbiguous: (409, "Several checkpoints with one name")
        case .modelInUse: (409, "Model in use")
        case .bodyTooLarge: (413, "Body too large")
        case .imageTooLarge: (413, "Image too large")
        case .tooManyImages: (413, "Too many images")
        case .unsupportedMediaType: (415, "Unsupported media type")
        case .unsupportedImage: (415, "Unsupported image")
        case .unprocessableImage: (422, "Unprocessable image")
        case .noImages: (422, "No image")
        case .unknownTap: (422, "Unknown tap")
        case .noHead: (422, "The model does not classify")
        case .checkpointRejected: (422, "Checkpoint rejected")
        case .tooManyWrongKeys: (429, "Too many wrong keys")
        case .headersTooLarge: (431, "Headers too large")
        case .internalError: (500, "Internal error")
        case .notFinite: (500, "Numbers became infinite or NaN")
        case .notImplemented: (501, "Not implemented")
        case .overloaded: (503, "Overloaded")
        case .starting: (503, "Starting")
        case .stopping: (503, "Stopping")
        case .stuck: (503, "Stuck")
        case .unavailable: (503, "Unavailable")
        case .deadlineExceeded: (504, "Deadline exceeded")
        case .insufficientStorage: (507, "Insufficient storage")
        case .insufficientMemory: (507, "Insufficient memory")
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
