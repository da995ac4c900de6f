/// One operation of a listener: everything that its routing, its checks and its description in `openapi.yaml` need.
protocol Endpoint: CaseIterable, Hashable, Sendable {
    /// `GET`, `POST` or `PUT`; HEAD is answered wherever GET is.
    var method: String { get }
    /// The path, which is also the template that logs and metrics name.
    var path: String { get }
    /// The names of the query parameters.
    var parameters: [String] { get }
    /// Every status that a handler of the operation answers.
    var statuses: Set<Int> { get }
    /// Whether the operation may be called without a key.
    var isOpen: Bool { get }
}

/// Statuses that any operation may be answered with because the head or the transport of the request is at fault, not
/// what it asks for. The contract describes them once, as `default`.
let transportStatuses: Set<Int> = [400, 413, 431, 500, 501, 503, 507]

/// From method and path to an operation. Paths match as they are: no `//`, no `..`, no trailing slash is tidied away.
struct Router<Operation: Endpoint>: Sendable {
    private let operations: [String: [String: Operation]]

    init() {
        operations = Dictionary(grouping: Operation.allCases, by: \.path).mapValues { sharing in
            Dictionary(uniqueKeysWithValues: sharing.map { ($0.method, $0) })
        }
    }

    /// Finds the operation; HEAD reads `GET` by then.
    ///
    /// - Throws: 404, or 405 with the methods that the path has.
    func operation(method: String, path: String) throws(Problem) -> Operation {
        guard let methods = operations[path] else {
            let nearest = Suggestion.clause(Suggestion.nearest(to: path, among: operations.keys.sorted()))
            throw Problem(.notFound, "there is nothing at this path\(nearest)")
        }
        if let operation = methods[method] { return operation }
        let allowed = methods.keys.flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] }.sorted().joined(separator: ", ")
        throw Problem(
            .methodNotAllowed, "\(path) does not take this method; it takes \(allowed)", headers: ["Allow": allowed])
    }
}
