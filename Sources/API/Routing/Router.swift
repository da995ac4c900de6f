import UntrustedText

/// A path with places for parameters, such as `/v2/models/{model}/infer`.
struct PathTemplate: Sendable {
    private let segments: [Substring]

    init(_ text: String) { segments = Self.split(text) }

    var parameters: [String] { segments.compactMap(Self.parameter) }

    /// The values of the parameters in a path; nil if the path doesn't match.
    func match(_ path: String) -> [String: String]? {
        let parts = Self.split(path)
        guard parts.count == segments.count else { return nil }
        var values: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            if let name = Self.parameter(segment), !part.isEmpty {
                values[name] = String(part)
            } else if segment != part {
                return nil
            }
        }
        return values
    }

    private static func parameter(_ segment: Substring) -> String? {
        segment.hasPrefix("{") && segment.hasSuffix("}") ? String(segment.dropFirst().dropLast()) : nil
    }

    private static func split(_ path: String) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false)
    }
}

/// Finds the endpoint of a method and a path. Paths aren't normalised: `//`, `..` and a trailing slash stay. A
/// path without parameters takes precedence over one with them.
struct Router<API: EndpointAPI>: Sendable {
    /// The endpoints of each path by their methods.
    private let endpoints = Dictionary(grouping: API.endpoints, by: \.path).mapValues { sharing in
        Dictionary(uniqueKeysWithValues: sharing.map { ($0.method, $0) })
    }
    private let templates: [(text: String, template: PathTemplate)]

    init() {
        templates = endpoints.keys.sorted().map { ($0, PathTemplate($0)) }.filter { !$0.1.parameters.isEmpty }
    }

    /// Finds the endpoint, and the parameters of its path by name. The server has changed HEAD to `GET` by then.
    ///
    /// - Throws: 404, or 405 with the methods that the path has.
    func route(
        method: String, path: String
    ) throws(Problem) -> (endpoint: Endpoint<API>, parameters: [String: String]) {
        guard let (endpoints, parameters) = endpoints(at: path) else {
            let nearest = Suggestion.clause(Suggestion.nearest(to: path, among: endpoints.keys.sorted()))
            throw Problem(.notFound, "this path doesn't exist\(nearest)")
        }
        if let endpoint = endpoints[method] { return (endpoint, parameters) }
        let allowed = Self.methods(of: endpoints).joined(separator: ", ")
        throw Problem(
            .methodNotAllowed, "this path doesn't support this method; it supports \(allowed)",
            headers: ["Allow": allowed])
    }

    /// The methods that a path has. Those of all endpoints if there is no such path: a page may then send its request, and read
    /// why it is refused.
    func methods(at path: String) -> [String] {
        if let (endpoints, _) = endpoints(at: path) { return Self.methods(of: endpoints) }
        return Set(endpoints.values.flatMap(Self.methods)).sorted()
    }

    private static func methods(of endpoints: [String: Endpoint<API>]) -> [String] {
        endpoints.keys.flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] }.sorted()
    }

    private func endpoints(at path: String) -> (endpoints: [String: Endpoint<API>], parameters: [String: String])? {
        // A client may spell a template's braces, which are then the parameters.
        if let endpoints = endpoints[path], !path.contains("{") { return (endpoints, [:]) }
        for (text, template) in templates {
            if let parameters = template.match(path) { return (endpoints[text]!, parameters) }
        }
        return nil
    }
}
