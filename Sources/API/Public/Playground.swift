import CPlayground
import Digests
import HTTPServer

/// The page at `/`, on which users try the public operations in a browser.
enum Playground {
    /// The page, under a policy that lets it run its own script and style and nothing else, and send requests to this
    /// service only.
    static let response: Response = {
        let page = embeddedFile(playground_page)
        return Response(
            headers: [
                "Content-Type": "text/html; charset=utf-8",
                "Content-Security-Policy": policy(for: String(decoding: page, as: UTF8.self)),
                "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
            ], body: page)
    }()

    /// The Content-Security-Policy of a page whose scripts and styles are all inline: each is allowed by its digest.
    static func policy(for page: String) -> String {
        let directives = [
            "default-src 'none'", "script-src \(sources("script", in: page))",
            "style-src \(sources("style", in: page))",
            "img-src data: blob:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
            "frame-ancestors 'none'",
        ]
        return directives.joined(separator: "; ")
    }

    private static func sources(_ element: String, in page: String) -> String {
        var sources: [String] = []
        var rest = page[...]
        while let start = rest.firstRange(of: "<\(element)>"),
            let end = rest[start.upperBound...].firstRange(of: "</\(element)>")
        {
            let digest = SHA256.hash(Array(rest[start.upperBound..<end.lowerBound].utf8))
            sources.append("'sha256-\(String(decoding: Base64.encode(digest.bytes), as: UTF8.self))'")
            rest = rest[end.upperBound...]
        }
        return sources.isEmpty ? "'none'" : sources.joined(separator: " ")
    }
}
