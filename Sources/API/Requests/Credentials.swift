import Digests
import HTTPServer

/// The keys that open an API. Only their digests are kept: digests have one length, so that comparing them tells nothing
/// of a key's, and a core dump holds no key.
struct Credentials: Sendable {
    private let digests: [[UInt8]]

    /// These keys; any of them opens.
    init(keys: [String]) { digests = keys.map { SHA256.hash(Array($0.utf8)).bytes } }

    /// Lets a request in that carries a key as `Authorization: Bearer …` or `X-API-Key: …`.
    ///
    /// - Throws: 401.
    func check(_ headers: HTTPHeaders) throws(Problem) {
        guard let presented = Self.key(in: headers) else {
            throw Self.refusal("this needs a key, as Authorization: Bearer KEY or X-API-Key: KEY")
        }
        let digest = SHA256.hash(Array(presented.utf8)).bytes
        // Every key is compared, so that the time doesn't tell which one matched.
        let matches = digests.count { constantTimeEquals($0, digest) }
        guard matches > 0 else { throw Self.refusal("the key is not one of those that open this") }
    }

    private static func key(in headers: HTTPHeaders) -> String? {
        if let key = headers["X-API-Key"] { return key }
        guard let authorization = headers["Authorization"] else { return nil }
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return trimmed(parts[1])
    }

    private static func refusal(_ detail: String) -> Problem {
        Problem(.unauthorized, detail, headers: ["WWW-Authenticate": "Bearer realm=\"headwater\""])
    }
}
