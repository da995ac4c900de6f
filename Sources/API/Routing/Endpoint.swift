import FeatureService
import HTTPServer

/// An operation of a listener: a row of its API's table. Routing, admission, the answer and the check of `openapi.yaml`
/// follow from the row.
///
/// A function named for the row's kind makes it, such as `read` or `images`. The function knows how the head of such a request
/// is checked and what the handler receives.
struct Endpoint<API: EndpointAPI>: Sendable {
    /// Reads a request's head and accepts its body.
    ///
    /// - Parameters: the API, the head, and the path's parameters by name.
    /// - Throws: why the request is refused.
    typealias Admit = @Sendable (API, RequestHead, [String: String]) throws(Problem) -> Acceptance

    /// A method of the API that answers a request, given what its head says and what is observed of it.
    typealias Handler<Call> =
        @Sendable (API) ->
        @Sendable (Request, Call, inout RequestObservation) async throws(Problem) -> Response

    /// The operation's name, its `operationId` in `openapi.yaml`.
    let name: String
    /// `GET`, `POST` or `PUT`. HEAD is answered wherever GET is.
    let method: String
    /// The path's template, which is also what logs and metrics name. A segment in braces, such as `{model}`, matches any one
    /// segment that isn't empty.
    let path: String
    var parameters: [String] = []
    /// The media types that a body may have; none if the operation takes no body.
    var bodyTypes: [String] = []
    /// Every status that the operation answers, without `transportStatuses`.
    let statuses: Set<Int>
    var traits: EndpointTraits = []
    var errors = ErrorFormat.problemDetails
    let admit: Admit
}

/// What distinguishes some operations from most.
struct EndpointTraits: OptionSet, Sendable {
    let rawValue: Int

    /// The operation may be called without a key.
    static let open = EndpointTraits(rawValue: 1)
    /// Machines ask for it every few seconds.
    static let routine = EndpointTraits(rawValue: 2)
    /// Query parameters that the operation doesn't know are ignored, not refused. Monitors, scrapers and links add some of
    /// their own, and where there is no parameter, a typing error can't pass for a default.
    static let ignoresUnknownParameters = EndpointTraits(rawValue: 4)

    /// The operation makes images, which a service may leave out.
    static let makesImages = EndpointTraits(rawValue: 8)

    /// What monitors ask for.
    static let monitored: EndpointTraits = [.routine, .ignoresUnknownParameters]
}

/// A request whose body may come.
struct Acceptance: Sendable {
    let body: BodyPolicy
    /// How the body is compressed; nil if it isn't.
    var coding: ContentCoding?
    /// Answers the request with its body decompressed. Holds what the head says.
    let respond: @Sendable (Request, inout RequestObservation) async throws(Problem) -> Response
}

/// An API with a table of endpoints, for a gateway to serve.
protocol EndpointAPI: Sendable {
    static var endpoints: [Endpoint<Self>] { get }
    var service: FeatureService { get }
    /// Lets requests in that carry a key; nil lets everyone in.
    var authenticator: Authenticator? { get }
    var observer: RequestObserver { get }
    /// Which pages on other origins may read the answers; nil if none may.
    var pages: CrossOriginPolicy? { get }
    /// Checks the head of an authenticated request before anything else of it is read.
    func screen(_ head: RequestHead) throws(Problem)
}

extension EndpointAPI {
    var pages: CrossOriginPolicy? { nil }

    func screen(_ head: RequestHead) throws(Problem) {}

    /// A server of this API, to be started.
    func makeServer(_ configuration: ServerConfiguration) throws(ServerError) -> Server {
        let server = try Server(Gateway(self), configuration: configuration) { [observer] in observer.logServer($0) }
        observer.metrics.watch(server, at: observer.listener)
        return server
    }
}

/// Statuses that any operation may be answered with because the head or the transport of the request is at fault, not
/// what it asks for.
let transportStatuses: Set<Int> = [400, 413, 431, 500, 501, 503]

extension Endpoint {
    /// A row for an operation that only reads: GET without a body.
    ///
    /// - Parameter answer: answers, given the path's parameters.
    static func read(
        _ name: String, _ path: String, _ traits: EndpointTraits = [], errors: ErrorFormat = .problemDetails,
        statuses: Set<Int>,
        answer: @escaping @Sendable (API, [String: String]) async throws(Problem) -> Response
    ) -> Endpoint {
        Endpoint(name: name, method: "GET", path: path, statuses: statuses, traits: traits, errors: errors) {
            api, head, path throws(Problem) in
            if !traits.contains(.ignoresUnknownParameters) { _ = try QueryParameters(head.query, known: []) }
            return Acceptance(body: .memory(maximumBytes: 0)) { _, _ throws(Problem) in try await answer(api, path) }
        }
    }

    static func health(_ name: String, _ path: String, _ check: HealthCheck, errors: ErrorFormat = .problemDetails)
        -> Endpoint
    {
        .read(name, path, [.open, .monitored], errors: errors, statuses: [200, 503]) { api, _ throws(Problem) in
            try check.response(await api.service.status())
        }
    }

    /// The rows of the health checks that both listeners have.
    static var healthChecks: [Endpoint] {
        [
            .health("live", "/health/live", .live), .health("ready", "/health/ready", .ready),
            .health("startup", "/health/startup", .startup),
        ]
    }
}
