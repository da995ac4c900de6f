import CMicroHTTPD
import Files
import Glibc
import Synchronization

/// The open connections, and the sockets that stay open after their connection so that clients can read an early answer.
final class ConnectionRegistry: Sendable {
    private struct Lingering {
        var deadline: ContinuousClock.Instant
        var allowance = 16 << 20
    }

    private let open = Mutex<[UInt64: ClientConnection]>([:])
    private let admitted = Atomic<Int>(0)
    private let lingering = Mutex<[Int32: Lingering]>([:])

    /// Connections accepted and not closed, including those that libmicrohttpd hasn't begun to serve.
    var count: Int { admitted.load(ordering: .relaxed) }
    var lingeringCount: Int { lingering.withLock { $0.count } }
    var exchanges: [Exchange] { open.withLock { $0.values.compactMap(\.exchange) } }

    /// Whether a connection waits to be served or has sent bytes that are still unread.
    var hasUnservedRequests: Bool {
        open.withLock { connections in
            connections.count != count || connections.values.contains { $0.hasUnreadBytes }
        }
    }

    /// Counts a connection in, unless there are `maximum` already.
    func admit(upTo maximum: Int) -> Bool {
        guard admitted.add(1, ordering: .relaxed).newValue > maximum else { return true }
        forgetAdmitted()
        return false
    }

    /// Counts a connection out.
    func forgetAdmitted() { admitted.subtract(1, ordering: .relaxed) }

    /// Counts out the connections that libmicrohttpd closed when it stopped, before it began to serve them.
    func forgetAll() { admitted.store(0, ordering: .relaxed) }

    /// Adds a connection. `make` receives the number of connections, including it.
    func insert(_ make: (Int) -> ClientConnection) -> ClientConnection {
        open.withLock {
            let connection = make($0.count + 1)
            $0[connection.id] = connection
            return connection
        }
    }

    func remove(_ connection: ClientConnection) {
        open.withLock { _ = $0.removeValue(forKey: connection.id) }
        forgetAdmitted()
    }

    /// Calls `body` with every connection. None of their sockets closes meanwhile.
    func forEach(_ body: (ClientConnection) -> Void) {
        open.withLock { $0.values.forEach(body) }
    }

    /// Calls `body` with the connection if it is open. It stays open meanwhile.
    func withConnection<Result: Sendable>(_ id: UInt64, _ body: (ClientConnection) -> Result?) -> Result? {
        open.withLock { connections in connections[id].flatMap(body) }
    }

    // MARK: Lingering

    /// Ends the sending side of a socket and reads what the client still sends, for two seconds or 16 MiB at most. Where
    /// `maximum` sockets linger already it is closed at once, whether or not its client has read its answer.
    func linger(_ socket: Int32, atMost maximum: Int, monitor: SocketMonitor) {
        shutdown(socket, Int32(SHUT_WR))
        lingering.withLock { sockets in
            guard sockets.count < maximum, (try? monitor.watchLingering(socket)) != nil else {
                close(socket)
                return
            }
            sockets[socket] = Lingering(deadline: .now + .seconds(2))
        }
    }

    func drainLingering(_ socket: Int32, monitor: SocketMonitor) {
        lingering.withLock { sockets in
            guard var entry = sockets[socket] else { return }
            let count = withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { buffer in
                uninterrupted { recv(socket, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT)) }
            }
            if count < 0, errno == EAGAIN { return }
            entry.allowance -= max(0, count)
            sockets[socket] = entry
            if count <= 0 || entry.allowance < 0 { Self.end(socket, &sockets, monitor) }
        }
    }

    /// Closes the lingering sockets whose time is over, or all of them if `now` is nil.
    func closeLingering(before now: ContinuousClock.Instant? = nil, monitor: SocketMonitor) {
        lingering.withLock { sockets in
            for (socket, entry) in sockets where now.map({ entry.deadline < $0 }) ?? true {
                Self.end(socket, &sockets, monitor)
            }
        }
    }

    private static func end(_ socket: Int32, _ sockets: inout [Int32: Lingering], _ monitor: SocketMonitor) {
        monitor.unwatch(socket)
        close(socket)
        sockets[socket] = nil
    }
}
