import CMicroHTTPD
import Glibc
import Synchronization

/// A client's connection, from its acceptance to the closing of its socket.
final class ClientConnection: Sendable {
    private struct State {
        var deadline: ContinuousClock.Instant?
        var exchange: Exchange?
        var hasStoppedSending = false
        var lingering: Int32?
    }

    let id: UInt64
    let socket: Int32
    let remoteAddress: String
    /// Whether it was accepted above the limit, only to be answered 503.
    let isSurplus: Bool
    private let state: Mutex<State>

    init(id: UInt64, socket: Int32, remoteAddress: String, isSurplus: Bool, deadline: ContinuousClock.Instant) {
        self.id = id
        self.socket = socket
        self.remoteAddress = remoteAddress
        self.isSurplus = isSurplus
        state = Mutex(State(deadline: deadline))
    }

    /// When the client will have taken too long to send or to read; nil while it waits for the server.
    var deadline: ContinuousClock.Instant? {
        get { state.withLock { $0.deadline } }
        set { state.withLock { $0.deadline = newValue } }
    }

    /// The request being received, processed or answered.
    var exchange: Exchange? {
        get { state.withLock { $0.exchange } }
        set { state.withLock { $0.exchange = newValue } }
    }

    /// Whether the client has closed its sending side.
    var hasStoppedSending: Bool {
        get { state.withLock { $0.hasStoppedSending } }
        set { state.withLock { $0.hasStoppedSending = newValue } }
    }

    /// Makes libmicrohttpd read once more. It clears its edge-triggered readiness when a read returns less than asked
    /// for, and so misses an end of stream that arrived together with the last bytes. As the client has closed its
    /// sending side, closing our receiving side changes nothing but that the poll wakes up.
    ///
    /// As ``cut()``, only with the registry locked.
    func nudge() { shutdown(socket, Int32(SHUT_RD)) }

    /// Whether the client has sent bytes that libmicrohttpd has not read. As ``cut()``, only with the registry locked.
    var hasUnreadBytes: Bool {
        var byte: UInt8 = 0
        return recv(socket, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) > 0
    }

    /// Makes libmicrohttpd notice an end of the stream and close the connection, whatever it is doing.
    ///
    /// Only for connections that the registry still holds, with it locked: later the descriptor may be another's.
    func cut() { shutdown(socket, Int32(SHUT_RDWR)) }

    /// Keeps the stream open after libmicrohttpd closes its socket: a close with unread bytes of the client would send RST, and
    /// the client's kernel would then drop an answer that it hasn't read yet.
    func prepareLingering() {
        state.withLock { state in
            guard state.lingering == nil else { return }
            let duplicate = fcntl(socket, F_DUPFD_CLOEXEC, 0)
            state.lingering = duplicate >= 0 ? duplicate : nil
        }
    }

    /// The duplicated socket, which the caller must close.
    func takeLingering() -> Int32? { state.withLock { $0.lingering.take() } }
}
