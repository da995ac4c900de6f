/// One operation of a listener: everything that its routing, its checks and its description in `openapi.yaml` need.
protocol Endpoint: CaseIterable, Hashable, Sendable {
    /// `GET`, `POST` or `PUT`; HEAD is answered wherever GET is.
    var method: String { get }
    /// The path's template, which is also what logs and metrics name: segments in braces, such as `{model}`, match any
    /// one segment that isn't empty.
    var path: String { get }
    /// The names of the query parameters.
    var parameters: [String] { get }
    /// Whether query parameters that the operation doesn't know are ignored rather than refused. Monitors, scrapers and links
    /// add some of their own, and where there is no parameter a typing error can't pass for a default.
    var ignoresUnknownParameters: Bool { get }
    /// Every status that a handler of the operation answers. The contract describes these and `transportStatuses`.
    var statuses: Set<Int> { get }
    /// Whether machines ask for it every few seconds: health checks and scrapes.
    var isRoutine: Bool { get }
    /// Whether the operation may be called without a key.
    var isOpen: Bool { get }
}

/// Statuses that any operation may be answered with because the head or the transport of the request is at fault, not
/// what it asks for.
let transportStatuses: Set<Int> = [400, 413, 431, 500, 501, 503]
