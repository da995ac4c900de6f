import Digests
import HTTPServer
import Synchronization

/// The keys that an API accepts. Only their digests are stored: digests have one length, so comparing them reveals nothing
/// about a key's length. Keys may still be in memory, in requests in progress and where the key file was read.
struct Credentials: Sendable, Equatable {
    /// What a request's head presents.
    enum Presented: Equatable, Sendable {
        /// No key.
        case nothing
        /// One that doesn't open this.
        case wrongKey
        /// One that does.
        case key
    }

    private let digests: [[UInt8]]

    init(keys: [String]) { digests = keys.map { SHA256.hash(Array($0.utf8)).bytes } }

    /// Looks for a key in `Authorization: Bearer …` and `X-API-Key: …`; of both, one is enough.
    func presented(in headers: HTTPHeaders) -> Presented {
        let presented = Self.keys(in: headers)
        guard !presented.isEmpty else { return .nothing }
        // Every key is compared, so that the time doesn't tell which one matched.
        let matches = presented.reduce(0) { matches, key in
            let digest = SHA256.hash(Array(key.utf8)).bytes
            return matches + digests.count { constantTimeEquals($0, digest) }
        }
        return matches > 0 ? .key : .wrongKey
    }

    private static func keys(in headers: HTTPHeaders) -> [String] {
        let key = headers["X-API-Key"].map { [$0] } ?? []
        let parts = headers["Authorization"]?.split(separator: " ", maxSplits: 1) ?? []
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return key }
        return key + [trimmed(parts[1])]
    }
}

/// Why a request isn't authenticated.
enum AuthenticationFailure: String, Sendable, CaseIterable {
    /// 401: it has no key.
    case missing
    /// 401: it has a wrong one.
    case wrong
    /// 429: it has a wrong one, and its address has presented too many.
    case limited
}

/// Accepts requests that carry a key, and limits how often an address may present wrong ones.
final class Authenticator: Sendable {
    private let credentials: Mutex<Credentials>
    private let limit: Mutex<AuthenticationLimit>
    private let observer: RequestObserver

    /// Makes an authenticator for these keys. The observer counts every request that is not accepted.
    init(keys: [String], allowance: AuthenticationLimit.Allowance, observer: RequestObserver) {
        credentials = Mutex(Credentials(keys: keys))
        limit = Mutex(AuthenticationLimit(allowance))
        self.observer = observer
    }

    /// Replaces the keys.
    ///
    /// - Returns: whether they changed.
    func replace(keys: [String]) -> Bool {
        let new = Credentials(keys: keys)
        return credentials.withLock { credentials in
            defer { credentials = new }
            return credentials != new
        }
    }

    /// Accepts a request that carries a key.
    ///
    /// - Throws: 401; 429 to an address of too many wrong keys.
    func check(_ head: RequestHead) throws(Problem) {
        switch credentials.withLock({ $0 }).presented(in: head.headers) {
        case .key: return
        case .nothing:
            observer.authenticationFailed(.missing)
            throw Self.problem("this endpoint requires a key; send it as Authorization: Bearer KEY or X-API-Key: KEY")
        case .wrongKey:
            guard let wait = limit.withLock({ $0.fail(head.remoteAddress, at: head.received) }) else {
                observer.authenticationFailed(.wrong)
                throw Self.problem("the key is not valid for this listener")
            }
            observer.authenticationFailed(.limited)
            let seconds = max(1, Int((wait / .seconds(1)).rounded(.up)))
            throw Problem(
                .tooManyWrongKeys, "too many wrong keys came from this address; try again in \(seconds) s",
                headers: ["Retry-After": "\(seconds)"])
        }
    }

    private static func problem(_ detail: String) -> Problem {
        Problem(.unauthorized, detail, headers: ["WWW-Authenticate": "Bearer realm=\"headwater\""])
    }
}
