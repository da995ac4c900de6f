import Foundation
import HTTPServer
import Synchronization
import Testing

/// What a client received.
package struct ReceivedResponse: Sendable {
    /// The final status.
    package var status: Int
    /// The header fields.
    package var headers: HTTPHeaders
    /// The body.
    package var body: [UInt8]

    /// The body as text.
    package var text: String { String(decoding: body, as: UTF8.self) }
}

/// A client that sends exactly the bytes it is told to. Its calls block: use it within `offPool`.
package final class RawClient: Sendable {
    /// Why there is no response.
    package enum Failure: Error { case connect(Int32), ended(received: String), malformed(String) }

    /// The connected socket.
    package let socket: Int32
    private let buffer = Mutex<[UInt8]>([])

    /// Connects to a port of this machine; sends and receives give up after two minutes.
    package init(port: Int) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var timeout = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var noDelay: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &noDelay, socklen_t(MemoryLayout<Int32>.size))
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // Closed by deinit, which also runs for an initialiser that throws once every property is set.
        guard status == 0 else { throw Failure.connect(errno) }
    }

    /// Connects to a socket of the file system.
    package init(unixSocket path: String) throws {
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var timeout = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else { throw Failure.connect(errno) }
    }

    deinit { Glibc.close(socket) }

    /// Sends everything; false if the server no longer takes it.
    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    /// Sends everything; false if the server no longer takes it.
    @discardableResult
    package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Says that nothing more will be sent.
    package func halfClose() { shutdown(socket, Int32(SHUT_WR)) }

    /// Makes the close send RST.
    package func reset() {
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }

    /// The next final response; interim ones are skipped.
    package func response(toHead: Bool = false) throws -> ReceivedResponse {
        while true {
            let head = try readHead()
            let lines = head.split(separator: "\r\n").map(String.init)
            guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
                throw Failure.malformed(head)
            }
            if status < 200 { continue }
            var headers = HTTPHeaders()
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                headers.append(name: String(parts[0]), value: parts[1].trimmingCharacters(in: .whitespaces))
            }
            let length = toHead ? 0 : headers["Content-Length"].flatMap { Int($0) } ?? 0
            return ReceivedResponse(status: status, headers: headers, body: try read(length))
        }
    }

    /// Sends a request and waits for its response.
    package func exchange(_ text: String) throws -> ReceivedResponse {
        send(text)
        return try response()
    }

    /// The bytes until the server closes the connection.
    package func readToEnd() -> [UInt8] {
        while receive() {}
        return buffer.withLock { bytes in
            defer { bytes = [] }
            return bytes
        }
    }

    private func readHead() throws -> String {
        while true {
            let head: String? = buffer.withLock { bytes in
                guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
                defer { bytes.removeSubrange(..<end.upperBound) }
                return String(decoding: bytes[..<end.upperBound], as: UTF8.self)
            }
            if let head { return head }
            guard receive() else {
                throw Failure.ended(received: String(decoding: buffer.withLock { $0 }, as: UTF8.self))
            }
        }
    }

    private func read(_ length: Int) throws -> [UInt8] {
        while buffer.withLock({ $0.count < length }) {
            guard receive() else { throw Failure.ended(received: "a body cut short") }
        }
        return buffer.withLock { bytes in
            defer { bytes.removeFirst(length) }
            return Array(bytes.prefix(length))
        }
    }

    private func receive() -> Bool {
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(socket, &piece, piece.count, 0)
        if count < 0, errno == EAGAIN { Issue.record("the server neither sent anything nor closed for two minutes") }
        guard count > 0 else { return false }
        buffer.withLock { $0 += piece.prefix(count) }
        return true
    }
}

/// Runs blocking code on a thread of its own: the tasks' few threads must stay free for the server's handlers.
package func offPool<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Swift.Result { try body() }) }.start()
    }
}

/// Waits until a condition that another thread brings about holds; false after two minutes, far
/// longer than a busy machine needs.
package func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    let deadline = ContinuousClock.now + .seconds(120)
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return try await condition()
}

extension Response {
    /// UTF-8 text.
    package static func text(_ text: String, status: Int = 200) -> Response {
        Response(status: status, headers: ["Content-Type": "text/plain; charset=utf-8"], body: Array(text.utf8))
    }
}
