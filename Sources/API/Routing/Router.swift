import UntrustedText

/// A path with places for parameters, such as `/v2/models/{model}/infer`.
struct PathTemplate: Equatable, Sendable {
    private enum Segment: Equatable, Sendable {
        case literal(Substring)
        case parameter(String)
    }

    /// The template as written.
    let text: String
    private let segments: [Segment]

    init(_ text: String) {
        self.text = text
        segments = Self.split(text).map { segment in
            segment.hasPrefix("{") && segment.hasSuffix("}")
                ? .parameter(String(segment.dropFirst().dropLast())) : .literal(segment)
        }
    }

    /// The names of the parameters, in order.
    var parameters: [String] {
        segments.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
    }

    /// The values of the parameters in a path; nil if the path doesn't match.
    func match(_ path: String) -> [String: String]? {
        let parts = Self.split(path)
        guard parts.count == segments.count else { return nil }
        var values: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .literal(let text): guard part == text else { return nil }
            case .parameter(let name):
                guard !part.isEmpty else { return nil }
                values[name] = String(part)
            }
        }
        return values
    }

    private static func split(_ path: String) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false)
    }
}

/// Finds the endpoint of a method and a path. Paths aren't normalised: `//`, `..` and a trailing slash stay. A
/// path without parameters takes precedence over one with them.
struct Router<API: EndpointAPI>: Sendable {
    private typealias Methods = [String: Endpoint<API>]

    private let literal: [String: Methods]
    private let patterns: [(template: PathTemplate, endpoints: Methods)]
    private let paths: [String]

    init() {
        let byPath = Dictionary(grouping: API.endpoints, by: \.path).mapValues { sharing in
            Dictionary(uniqueKeysWithValues: sharing.map { ($0.method, $0) })
        }
        paths = byPath.keys.sorted()
        let templates = paths.map { PathTemplate($0) }
        literal = byPath.filter { path, _ in PathTemplate(path).parameters.isEmpty }
        patterns = templates.filter { !$0.parameters.isEmpty }.map { ($0, byPath[$0.text]!) }
    }

    /// Finds the endpoint, and the parameters of its path by name. The server has changed HEAD to `GET` by then.
    ///
    /// - Throws: 404, or 405 with the methods that the path has.
    func route(
        method: String, path: String
    ) throws(Problem) -> (endpoint: Endpoint<API>, parameters: [String: String]) {
        guard let (endpoints, parameters) = endpoints(at: path) else {
            let nearest = Suggestion.clause(Suggestion.nearest(to: path, among: paths))
            throw Problem(.notFound, "this path doesn't exist\(nearest)")
        }
        if let endpoint = endpoints[method] { return (endpoint, parameters) }
        let allowed = endpoints.keys.flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] }.sorted().joined(separator: ", ")
        throw Problem(
            .methodNotAllowed, "this path doesn't support this method; it supports \(allowed)",
            headers: ["Allow": allowed])
    }

    private func endpoints(at path: String) -> (endpoints: Methods, parameters: [String: String])? {
        if let endpoints = literal[path] { return (endpoints, [:]) }
        for pattern in patterns {
            if let parameters = pattern.template.match(path) { return (pattern.endpoints, parameters) }
        }
        return nil
    }
}
