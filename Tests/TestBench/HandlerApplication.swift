import HTTPServer

/// Answers a request.
package typealias Handler = @Sendable (Request) async -> Response

/// An application of closures, which says of a refusal why.
struct HandlerApplication: Application {
    let handler: Handler
    let admit: @Sendable (RequestHead) -> Admission<Void>
    let observe: @Sendable (ExchangeRecord) -> Void

    func observation(of headers: HTTPHeaders, target: String?) {}

    func admit(_ head: RequestHead, _ observation: inout Void) -> Admission<Void> { admit(head) }

    func respond(to request: Request, _ call: Void, _ observation: inout Void) async -> Response {
        await handler(request)
    }

    func response(to refusal: TransportRefusal, _ observation: inout Void) -> Response {
        .text(refusal.reason + "\n", status: refusal.status)
    }

    func ended(_ record: ExchangeRecord, _ observation: Void) { observe(record) }
}

extension Server {
    /// A server of an application made of closures.
    ///
    /// - Parameters:
    ///   - handler: answers complete requests.
    ///   - admit: decides from a head; by default bodies of up to 32 MiB are accepted.
    ///   - observe: told of every request's end.
    package convenience init(
        configuration: ServerConfiguration = ServerConfiguration(), handler: @escaping Handler,
        admit: @escaping @Sendable (RequestHead) -> Admission<Void> = { _ in
            .accepted((), .memory(maximumBytes: 32 << 20))
        },
        observe: @escaping @Sendable (ExchangeRecord) -> Void = { _ in },
        log: @escaping @Sendable (ServerMessage) -> Void = { _ in }
    ) throws(ServerError) {
        try self.init(
            HandlerApplication(handler: handler, admit: admit, observe: observe), configuration: configuration,
            log: log)
    }
}
