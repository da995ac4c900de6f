import HTTPServer

/// Which pages on other origins may read a listener's answers: CORS, as the Fetch standard defines it.
///
/// No answer allows credentials. The service has no cookies, and a page sets the header of its key itself.
package struct CrossOriginPolicy: Sendable, Equatable {
    /// Nil for every origin, `null` included.
    private let origins: Set<WebOrigin>?

    /// Any page may read the answers.
    package static let everyPage = CrossOriginPolicy(origins: nil)

    /// Pages of these origins may read the answers.
    package static func pages(of origins: Set<WebOrigin>) -> CrossOriginPolicy { CrossOriginPolicy(origins: origins) }

    /// What every answer says to a page.
    ///
    /// - Parameter origins: the values of the request's `Origin` fields.
    func headers(for origins: [String]) -> HTTPHeaders {
        var headers = permission(for: origins) ?? [:]
        if !headers.fields.isEmpty { headers["Access-Control-Expose-Headers"] = Self.exposedHeaders }
        // Without the page's origin too: a cache may keep that answer for a page.
        if self.origins != nil { headers["Vary"] = "Origin" }
        return headers
    }

    /// What a preflight's answer says in addition to ``headers(for:)``; nil if the page may not send the request.
    ///
    /// A page may send any header. A list of those that the service reads was rejected: clients such as OpenAI's send headers
    /// of their own with every request, and the service ignores what it doesn't know.
    ///
    /// - Parameter methods: those that the path has.
    func headers(for preflight: Preflight, methods: [String]) -> HTTPHeaders? {
        guard permission(for: preflight.origins) != nil else { return nil }
        var headers: HTTPHeaders = [
            "Access-Control-Allow-Methods": methods.joined(separator: ", "),
            "Access-Control-Max-Age": "\(Self.preflightSeconds)",
        ]
        if !preflight.headers.isEmpty {
            headers["Access-Control-Allow-Headers"] = preflight.headers.joined(separator: ", ")
        }
        return headers
    }

    private func permission(for origins: [String]) -> HTTPHeaders? {
        guard let allowed = self.origins else { return ["Access-Control-Allow-Origin": "*"] }
        guard origins.count == 1, allowed.contains(where: { $0.text == origins[0] }) else { return nil }
        return ["Access-Control-Allow-Origin": origins[0]]
    }

    /// The longest time that Chromium keeps a preflight's answer. Other browsers have other limits.
    static let preflightSeconds = 7200

    /// The response headers that clients read. Browsers hide them from pages unless they are listed.
    static let exposedHeaders = [
        "X-Request-Id", "traceparent", "X-Model-Version", "Server-Timing", "Cache-Status", "Retry-After", "Allow",
        "WWW-Authenticate", "Accept-Encoding", "Accept-Post", "Inference-Header-Content-Length",
    ].joined(separator: ", ")
}

/// A browser's question whether a page may send a request: OPTIONS with the request's method.
struct Preflight: Equatable, Sendable {
    /// The values of its `Origin` fields.
    let origins: [String]
    /// The names of the headers that the request would have, those that are names.
    let headers: [String]

    /// Nil if the request is no preflight.
    init?(method: String, _ headers: HTTPHeaders) {
        guard method == "OPTIONS", headers["Origin"] != nil, headers["Access-Control-Request-Method"] != nil else {
            return nil
        }
        origins = headers.values(of: "Origin")
        self.headers = headers.values(of: "Access-Control-Request-Headers").flatMap { $0.split(separator: ",") }
            .map { trimmed($0) }.filter(\.isToken)
    }
}
