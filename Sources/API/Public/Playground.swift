import CPlayground
import Digests
import HTTPServer

/// The page at `/`, on which users try the public operations in a browser.
enum Playground {
    /// The page, under a policy that lets it run its own script and style and nothing else, and send requests to this
    /// service only.
    static let response: Response = {
        let page = assembled()
        return Response(
            headers: [
                "Content-Type": "text/html; charset=utf-8",
                "Content-Security-Policy": policy(for: page),
                "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
            ], body: Array(page.utf8))
    }()

    private static let scripts = [
        "requests.js", "pictures.js", "gif.js", "images.js", "flow.js", "embeddings.js", "creation.js", "camera.js",
        "terminal.js", "playground.js",
    ]
    private static let photographs = ["cat", "moose", "goldfish", "windmill", "rocket", "coffee"].map {
        "photographs/\($0).jpg"
    }

    /// The page as one file, as its policy lets it load nothing: the style, the scripts as one script, since they share
    /// their names, and the photographs as `data:` URIs.
    private static func assembled() -> String {
        var page = text("playground.html")
        page.replace("<style></style>", with: "<style>\n\(text("playground.css"))</style>", maxReplacements: 1)
        let script = scripts.map(text).joined(separator: "\n")
        page.replace("<script></script>", with: "<script>\n\"use strict\";\n\(script)</script>", maxReplacements: 1)
        for photograph in photographs {
            let uri = "data:image/jpeg;base64," + String(decoding: Base64.encode(bytes(photograph)), as: UTF8.self)
            page.replace("src=\"\(photograph)\"", with: "src=\"\(uri)\"", maxReplacements: 1)
        }
        return page
    }

    private static func text(_ name: String) -> String { String(decoding: bytes(name), as: UTF8.self) }

    private static func bytes(_ name: String) -> [UInt8] { embeddedFile { playground_file(name, $0) } }

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
