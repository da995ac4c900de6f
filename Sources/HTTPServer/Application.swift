/// What a server serves: it decides about requests from their heads, answers them, and observes how they end.
///
/// The server keeps an application's values with the request that they belong to and hands them from one step to the next. So a
/// head is parsed once, and an application needs no table of its requests. Every function except ``respond(to:_:_:)`` must be
/// quick. ``response(to:_:)`` may be called on any thread; the others are called on an event thread.
package protocol Application: Sendable {
    /// What logs and metrics tell of a request. It exists from the request's headers to its end.
    associatedtype Observation: Sendable
    /// What admission reads from the head of an accepted request, for the handler.
    associatedtype Call: Sendable

    /// Begins to observe a request. Called once for each, with no headers for a request that ends before they are complete.
    ///
    /// - Parameter target: the request's target as it was sent; nil if it isn't UTF-8.
    func observation(of headers: HTTPHeaders, target: String?) -> Observation

    /// Decides from a well-formed head whether the request is accepted, and what becomes of its body.
    func admit(_ head: RequestHead, _ observation: inout Observation) -> Admission<Call>

    /// Answers a complete request. The task is cancelled when the client has gone or the server stops; it should then return
    /// soon, with any response.
    func respond(to request: Request, _ call: Call, _ observation: inout Observation) async -> Response

    /// Writes the response to a request that the server itself refuses, and the response that replaces one that can't be sent.
    func response(to refusal: TransportRefusal, _ observation: inout Observation) -> Response

    /// Takes note of a request's end. Called once for each request whose first line has arrived.
    func ended(_ record: ExchangeRecord, _ observation: Observation)
}

/// What an application decides from a request's head.
package enum Admission<Call: Sendable>: Sendable {
    /// The body may come and is stored by this policy. The handler receives the call with the request.
    case accepted(Call, BodyPolicy)
    /// The request is refused with this response, before the body is read if it is larger than 64 KiB or the client waits for
    /// permission to send it (`Expect: 100-continue`).
    case refused(Response)
}

/// Where an accepted request's body is stored.
package enum BodyPolicy: Sendable {
    /// In memory, up to this many bytes; a larger body is answered 413.
    case memory(maximumBytes: Int)
    /// In a new file in this folder. It is removed when the request has ended, unless the handler has renamed it. The client
    /// has `timeout` for the body. An event thread writes the file, so this is for rare, large uploads.
    case file(directory: String, maximumBytes: Int, timeout: Duration)

    var maximumBytes: Int {
        switch self {
        case .memory(let maximumBytes), .file(_, let maximumBytes, _): maximumBytes
        }
    }

    /// The same where no more memory than this is for bodies. A body that could never fit is too large, rather than too early.
    func limited(toMemory bytes: Int) -> BodyPolicy {
        switch self {
        case .memory(let maximumBytes): .memory(maximumBytes: min(maximumBytes, bytes))
        case .file: self
        }
    }
}

/// One request as its application sees it, without the application's types: the functions that libmicrohttpd calls are C
/// functions and can't be generic.
protocol Conversation: Sendable {
    mutating func admit(_ head: RequestHead) -> Admission<Void>
    mutating func respond(to request: Request) async -> Response
    mutating func response(to refusal: TransportRefusal) -> Response
    func ended(_ record: ExchangeRecord)
}

/// An application with its values of one request.
struct ApplicationConversation<Served: Application>: Conversation {
    private let application: Served
    private var observation: Served.Observation
    /// Nil until the request is accepted.
    private var call: Served.Call?

    init(_ application: Served, _ headers: HTTPHeaders, target: String?) {
        self.application = application
        observation = application.observation(of: headers, target: target)
    }

    mutating func admit(_ head: RequestHead) -> Admission<Void> {
        switch application.admit(head, &observation) {
        case .accepted(let call, let policy):
            self.call = call
            return .accepted((), policy)
        case .refused(let response): return .refused(response)
        }
    }

    mutating func respond(to request: Request) async -> Response {
        guard let call else { preconditionFailure("only accepted requests are answered") }
        return await application.respond(to: request, call, &observation)
    }

    mutating func response(to refusal: TransportRefusal) -> Response {
        application.response(to: refusal, &observation)
    }

    func ended(_ record: ExchangeRecord) { application.ended(record, observation) }
}
