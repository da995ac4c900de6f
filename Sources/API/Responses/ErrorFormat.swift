import HTTPServer
import JSON

/// The form that a protocol gives its errors.
enum ErrorFormat: Sendable {
    /// `application/problem+json` (RFC 9457).
    case problemDetails
    /// The Open Inference Protocol's object with a member `error`.
    case openInference
    /// OpenAI's object with a member `error`, an object.
    case openAI

    /// The form for a request of which only the raw target is known: OpenAI's for targets that begin with `/v1/`, otherwise
    /// problem details.
    init(ofTarget target: String?) {
        self = target?.utf8.starts(with: "/v1/".utf8) == true ? .openAI : .problemDetails
    }

    /// The `Content-Type` of its documents.
    var mediaType: String {
        switch self {
        // A problem document may have members of its own (RFC 9457, 3.2). With the member `error` it is also an error of the
        // Open Inference Protocol, so that clients of that protocol can read errors of every path, unknown ones included.
        case .problemDetails, .openInference: "application/problem+json"
        case .openAI: "application/json"
        }
    }

    /// The response to a problem, without the headers that every response has.
    func response(to problem: Problem, requestID: String) -> Response {
        var json = JSONWriter()
        switch self {
        case .problemDetails, .openInference:
            json.object { json in problem.write(members: &json, requestID: requestID) }
        case .openAI: problem.writeForOpenAI(&json)
        }
        var headers = problem.headers
        headers["Content-Type"] = mediaType
        return Response(status: problem.code.status, headers: headers, body: json.bytes)
    }
}
