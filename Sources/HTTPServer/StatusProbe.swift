import CMicroHTTPD
import Files
import Glibc

/// Asks a server for a status once, with a time limit, for health checks in images without an HTTP client.
package struct StatusProbe: Sendable {
    package struct TLS: Sendable, Equatable {
        /// The name sent to the server, which its certificate must have if it is checked.
        package var name: String
        /// PEM of the trusted certificates; nil accepts any certificate.
        package var trustedPEM: String?

        package init(name: String, trustedPEM: String?) {
            self.name = name
            self.trustedPEM = trustedPEM
        }
    }

    package struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
        /// The reason, such as `Connection refused`.
        package let description: String
    }

    package var destination: ServerAddress
    /// Nil to speak plain HTTP.
    package var tls: TLS?
    /// For connecting, sending and receiving, each.
    package var timeout: Duration = .seconds(3)

    package init(_ destination: ServerAddress, tls: TLS? = nil) {
        self.destination = destination
        self.tls = tls
    }

    /// Sends `GET path` and waits for the answer. Blocks.
    ///
    /// - Returns: the answer's first line, such as `HTTP/1.1 200 OK`.
    package func statusLine(of path: String) throws(Failure) -> String {
        let descriptor = try connected()
        defer { close(descriptor) }
        let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        let answer = if let tls { try ask(request, over: descriptor, tls) } else { try ask(request, over: descriptor) }
        guard answer.hasPrefix("HTTP/"), let line = answer.split(separator: "\r\n").first else {
            throw Failure(description: answer.isEmpty ? "closed without an answer" : "the answer is not HTTP")
        }
        return String(line)
    }

    private func connected() throws(Failure) -> Int32 {
        let addresses: [SocketAddress]
        switch destination {
        case .unix(let path):
            guard path.utf8.count <= SocketAddress.longestPath else {
                throw Failure(description: "the path is longer than \(SocketAddress.longestPath) bytes")
            }
            addresses = [SocketAddress(path: path)]
        case .internet(let host, let port):
            let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
            do throws(ServerError) {
                addresses = try SocketAddress.resolve(
                    host: isBracketed ? String(host.dropFirst().dropLast()) : host, service: String(port))
            } catch {
                throw Failure(description: "the name can't be resolved")
            }
        }
        var reason = "no address"
        for address in addresses {
            let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else {
                reason = "\(SystemError.last)"
                continue
            }
            limit(descriptor)
            if address.withPointer({ connect(descriptor, $0, $1) }) == 0 { return descriptor }
            reason = errno == EINPROGRESS ? "no answer in time" : "\(SystemError.last)"
            close(descriptor)
        }
        throw Failure(description: reason)
    }

    private func limit(_ descriptor: Int32) {
        let (seconds, attoseconds) = timeout.components
        var limit = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    private static let capacity = 512

    private func ask(_ request: String, over descriptor: Int32) throws(Failure) -> String {
        var answer = [UInt8](repeating: 0, count: Self.capacity)
        guard send(descriptor, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count,
            case let count = recv(descriptor, &answer, answer.count, 0), count >= 0
        else {
            throw Failure(description: errno == EAGAIN ? "no answer in time" : "\(SystemError.last)")
        }
        return String(decoding: answer.prefix(count), as: UTF8.self)
    }

    private func ask(_ request: String, over descriptor: Int32, _ tls: TLS) throws(Failure) -> String {
        var (answer, reason) = ([UInt8](repeating: 0, count: Self.capacity), [CChar](repeating: 0, count: 256))
        let count = CTLSAsk(descriptor, tls.name, tls.trustedPEM, request, &answer, answer.count, &reason, reason.count)
        guard count >= 0 else {
            let text = String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw Failure(description: "TLS: \(text)")
        }
        return String(decoding: answer.prefix(count), as: UTF8.self)
    }
}
