import HTTPServer
import UntrustedText

/// A query's parameters by name, each known, given once and with a value.
struct QueryParameters: Sendable {
    private let values: [String: String]

    /// Checks a query against the names that an endpoint knows.
    ///
    /// - Throws: 400: unknown, with the nearest name that there is; repeated; or without a value.
    init(_ query: [QueryItem], known: [String]) throws(Problem) {
        var values: [String: String] = [:]
        for item in query {
            guard known.contains(item.name) else { throw .unknown("query parameter", item.name, known: known) }
            guard let value = item.value, !value.isEmpty else {
                throw Problem(.invalidParameter, "the query parameter \(item.name) has no value")
            }
            guard values.updateValue(value, forKey: item.name) == nil else {
                throw Problem(
                    .invalidParameter,
                    "the query parameter \(item.name) appears twice; give it once, with commas between values")
            }
        }
        self.values = values
    }

    subscript(name: String) -> String? { values[name] }

    /// A switch: `true` or `false`, false if it was not given.
    func flag(_ name: String) throws(Problem) -> Bool {
        switch values[name] {
        case nil, "false": false
        case "true": true
        case .some: throw Problem(.invalidParameter, "\(name) must be true or false")
        }
    }
}

extension Problem {
    /// 400 for a name that is not known, with the nearest that is.
    static func unknown(_ kind: String, _ name: String, known: [String]) -> Problem {
        let nearest = Suggestion.clause(Suggestion.nearest(to: name, among: known))
        let remedy =
            !nearest.isEmpty
            ? nearest
            : known.isEmpty ? "; none is accepted here" : "; the known ones are \(known.joined(separator: ", "))"
        // Cut, and only printable ASCII, so that the text can be shown anywhere.
        return Problem(.unknownParameter, "unknown \(kind) \"\(shown(name, atMost: 40))\"\(remedy)")
    }
}
