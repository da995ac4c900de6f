import FeatureService
import HTTPServer

/// An operation of a listener, a row of its API's table. Routing, admission, the answer, the form of errors and the check of
/// `openapi.yaml` all follow from the row.
///
/// A row is made by the function that is named for its kind, such as `read` or `images`. That function knows how the head of
/// such a request is checked and what the handler gets of it.
struct Endpoint<API: EndpointAPI>: Sendable {
    /// Reads a request's head, by which the body is accepted.
    ///
    /// - Parameters: the API, the head, and the path's parameters by name.
    /// - Throws: why the request is refused.
    typealias Admit = @Sendable (API, RequestHead, [String: String]) throws(Problem) -> Acceptance

    /// The operation's name, its `operationId` in `openapi.yaml`.
    let name: String
    /// `GET`, `POST` or `PUT`. HEAD is answered wherever GET is.
    let method: String
    /// The path's template, which is also what logs and metrics name. A segment in braces, such as `{model}`, matches any one
    /// segment that isn't empty.
    let path: String
    /// The names of the query parameters.
    var parameters: [String] = []
    /// The media types that a body may have; none if the operation takes no body.
    var bodyTypes: [String] = []
    /// Every status that the operation answers, without `transportStatuses`.
    let statuses: Set<Int>
    var traits: EndpointTraits = []
    /// The form of its errors.
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

    /// What monitors ask for.
    static let monitored: EndpointTraits = [.routine, .ignoresUnknownParameters]
    /// Health checks, for which load balancers have no key.
    static let healthCheck: EndpointTraits = [.open, .monitored]
}

/// A request whose body may come.
struct Acceptance: Sendable {
    /// Where the body is stored.
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
    /// Checks the head of an authenticated request before anything else of it is read.
    func screen(_ head: RequestHead) throws(Problem)
}

extension EndpointAPI {
    func screen(_ head: RequestHead) throws(Problem) {}

    /// A server of this API, to be started.
    func makeServer(_ configuration: ServerConfiguration) throws(ServerError) -> Server {
        let server = try Server(
            Gateway(self), configuration: configuration, log: { [observer] in observer.logServer($0) })
        observer.watch(server)
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
        statuses: Set<Int>, answer: @escaping @Sendable (API, [String: String]) async throws(Problem) -> Response
    ) -> Endpoint {
        Endpoint(name: name, method: "GET", path: path, statuses: statuses, traits: traits, errors: errors) {
            api, head, path throws(Problem) in
            if !traits.contains(.ignoresUnknownParameters) { _ = try QueryParameters(head.query, known: []) }
            return Acceptance(body: .memory(maximumBytes: 0)) { _, _ throws(Problem) in try await answer(api, path) }
        }
    }

    /// The rows of the health checks, which both listeners have.
    static var healthChecks: [Endpoint] {
        [
            .read("live", "/health/live", .healthCheck, statuses: [200, 503]) { api, _ throws(Problem) in
                try HealthCheck.live.response(await api.service.status())
            },
            .read("ready", "/health/ready", .healthCheck, statuses: [200, 503]) { api, _ throws(Problem) in
                try HealthCheck.ready.response(await api.service.status())
            },
            .read("startup", "/health/startup", .healthCheck, statuses: [200, 503]) { api, _ throws(Problem) in
                try HealthCheck.startup.response(await api.service.status())
            },
        ]
    }
}
