import CEventPolling
import Files
import Glibc

/// A load that could not be put on a service.
package struct LoadError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What failed, and the system's reason.
    package let description: String

    init(_ description: String) { self.description = description }

    /// What failed with the system's present reason.
    static func system(_ what: String) -> LoadError { LoadError("\(what): \(String(cString: strerror(errno)))") }
}

/// A persistent connection to a service on this machine, non-blocking, one request at a time. For one thread.
final class Connection {
    /// What a turn of writing and reading came to.
    enum Progress {
        /// The answer, or the rest of it, is still to come.
        case waiting
        /// The answer is complete.
        case answered(ResponseReader.Head)
        /// The connection is of no more use.
        case lost(String)
    }

    /// The request under way: when it was due, when its first byte was sent.
    struct Exchange {
        let due: Double
        let sent: Double
    }

    let socket: Int32
    private(set) var exchange: Exchange?
    /// Whether the service has ever taken a byte.
    private(set) var isConnected = false
    private let request: [UInt8]
    private var written = 0
    private var reader = ResponseReader()

    /// Begins to connect to a port of 127.0.0.1.
    init(port: UInt16, request: [UInt8]) throws(LoadError) {
        self.request = request
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw LoadError.system("no socket can be opened") }
        var one: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 || errno == EINPROGRESS else {
            let error = LoadError.system("can't connect to port \(port)")
            close(socket)
            throw error
        }
    }

    deinit { close(socket) }

    /// Begins a request.
    func start(due: Double, at now: Double) {
        exchange = Exchange(due: due, sent: now)
        written = 0
        reader = ResponseReader()
    }

    /// Ends the request, for the next one.
    func finish() { exchange = nil }

    /// Writes what the kernel takes and reads what it has. To be called after `start` and at every readiness, which is
    /// told but once (edge-triggered): hence until the kernel has nothing more.
    func proceed(buffer: UnsafeMutableRawBufferPointer) -> Progress {
        guard exchange != nil else { return idle(buffer) }
        while written < request.count {
            let count = request.withUnsafeBytes { request in
                uninterrupted {
                    send(socket, request.baseAddress! + written, request.count - written, Int32(MSG_NOSIGNAL))
                }
            }
            if count < 0 && (errno == EAGAIN || errno == ENOTCONN) { break }
            guard count > 0 else { return lost() }
            written += count
            isConnected = true
        }
        return receive(buffer)
    }

    private func receive(_ buffer: UnsafeMutableRawBufferPointer) -> Progress {
        while true {
            let count = uninterrupted { recv(socket, buffer.baseAddress, buffer.count, 0) }
            if count < 0 && (errno == EAGAIN || errno == ENOTCONN) { return .waiting }
            guard count >= 0 else { return lost() }
            guard count > 0 else { return .lost("the connection was closed before the answer") }
            do throws(ResponseReader.Malformed) {
                if let head = try reader.append(UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
                    return .answered(head)
                }
            } catch {
                return .lost(error.reason)
            }
        }
    }

    /// Between requests nothing may come but the end.
    private func idle(_ buffer: UnsafeMutableRawBufferPointer) -> Progress {
        let count = uninterrupted { recv(socket, buffer.baseAddress, buffer.count, 0) }
        return count < 0 && errno == EAGAIN ? .waiting : .lost("the connection was closed")
    }

    private func lost() -> Progress { .lost("the connection failed: \(String(cString: strerror(errno)))") }
}
