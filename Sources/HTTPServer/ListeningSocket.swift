import CMicroHTTPD
import Files
import Glibc

/// A socket that accepts connections. libmicrohttpd could open it, but reports only that binding failed, not why. And its
/// `MHD_quiesce_daemon` races with its event threads for the socket's place in their epoll sets, and aborts the process when
/// it loses.
struct ListeningSocket {
    let descriptor: Int32
    let address: ServerAddress
    /// Its file, if this process made it.
    let file: UnixSocketFile?

    private init(descriptor: Int32, file: UnixSocketFile? = nil) throws(ServerError) {
        guard let address = ServerAddress(ofSocket: descriptor) else {
            Glibc.close(descriptor)
            throw .cannotListen("the socket with descriptor \(descriptor) is neither a TCP nor a Unix socket")
        }
        self.descriptor = descriptor
        self.address = address
        self.file = file
    }

    /// Opens the socket that the configuration asks for, or takes over the one that it names.
    init(_ configuration: ServerConfiguration) throws(ServerError) {
        if let inherited = configuration.inheritedSocket {
            try Self.adopt(inherited)
            try self.init(descriptor: inherited)
            return
        }
        if case .unix(let path) = configuration.address {
            let (descriptor, file) = try UnixSocketFile.listen(
                at: path, permissions: configuration.socketPermissions, backlog: configuration.backlog)
            try self.init(descriptor: descriptor, file: file)
            return
        }
        try self.init(firstOf: try Self.addresses(of: configuration), configuration)
    }

    /// Opens the first of a host's addresses that this machine has. One that another process listens on is an error: clients of
    /// the host would reach either service, by the address that they try first.
    init(firstOf addresses: [SocketAddress], _ configuration: ServerConfiguration) throws(ServerError) {
        var reason = "\(configuration.address) has no address"
        for address in addresses {
            let descriptor: Int32
            do throws(SystemError) {
                descriptor = try Self.open(address, configuration)
            } catch {
                reason = Self.explain(error, configuration)
                guard error.code != EADDRINUSE else { break }
                continue
            }
            try self.init(descriptor: descriptor)
            return
        }
        throw .cannotListen(reason)
    }

    /// Stops listening. The file is removed before the socket is closed, so that no client finds it without a listener.
    func close() {
        file?.remove()
        Glibc.close(descriptor)
    }

    /// Prepares a socket that another process made.
    private static func adopt(_ descriptor: Int32) throws(ServerError) {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
        }
        guard let type = option(SO_TYPE) else {
            throw .cannotListen("descriptor \(descriptor) is not a socket (\(SystemError.last)): pass one that listens")
        }
        guard type == Int32(SOCK_STREAM.rawValue), option(SO_ACCEPTCONN) == 1 else {
            throw .cannotListen(
                "the socket with descriptor \(descriptor) does not listen for streams: "
                    + "in a systemd socket unit give ListenStream= and leave Accept=no")
        }
        // The first is a flag of the descriptor, the second of the socket, which the process that passed it doesn't read from.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        // Fails for a socket of the file system, which needs none.
        try? set(TCP_NODELAY, level: Int32(IPPROTO_TCP), to: 1, on: descriptor)
    }

    /// A client's connected, non-blocking socket and its address, nil if none is waiting.
    static func accept(from listener: Int32) throws(SystemError) -> (socket: Int32, address: SocketAddress)? {
        while true {
            var address = SocketAddress()
            let socket = address.withMutablePointer { CLinuxAccept(listener, $0, $1) }
            if socket >= 0 { return (socket, address) }
            switch errno {
            case EAGAIN, EWOULDBLOCK: return nil
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: throw SystemError(code: errno, call: "accept")
            default: continue  // The client left before it was accepted, or a signal came.
            }
        }
    }

    private static func addresses(of configuration: ServerConfiguration) throws(ServerError) -> [SocketAddress] {
        let service = String(configuration.port)
        guard case .host(let host) = configuration.address else {
            // IPv6 first: such a socket serves IPv4 too. Machines without IPv6 fall back to IPv4 alone.
            return ["::", "0.0.0.0"].flatMap { (try? SocketAddress.resolve(host: $0, service: service)) ?? [] }
        }
        return try SocketAddress.resolve(host: host, service: service)
    }

    private static func open(
        _ address: SocketAddress, _ configuration: ServerConfiguration
    ) throws(SystemError) -> Int32 {
        let descriptor = try SocketAddress.newSocket(address.family)
        do throws(SystemError) {
            // Without it a restart would have to wait for the old connections' TIME_WAIT.
            try set(SO_REUSEADDR, level: SOL_SOCKET, to: 1, on: descriptor)
            if configuration.reusePort { try set(SO_REUSEPORT, level: SOL_SOCKET, to: 1, on: descriptor) }
            if address.family == AF_INET6 {
                try set(
                    IPV6_V6ONLY, level: Int32(IPPROTO_IPV6), to: configuration.address == .all ? 0 : 1, on: descriptor)
            }
            // Inherited by every connection accepted: responses are written whole, so Nagle's delay gains nothing.
            try set(TCP_NODELAY, level: Int32(IPPROTO_TCP), to: 1, on: descriptor)
            try SystemError.check("bind", address.withPointer { bind(descriptor, $0, $1) })
            try SystemError.check("listen", listen(descriptor, configuration.backlog))
            return descriptor
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    private static func set(_ option: Int32, level: Int32, to value: Int32, on descriptor: Int32) throws(SystemError) {
        var value = value
        try SystemError.check(
            "setsockopt", setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)))
    }

    private static func explain(_ failure: SystemError, _ configuration: ServerConfiguration) -> String {
        let place = "\(configuration.address) port \(configuration.port)"
        switch failure.code {
        case EADDRINUSE:
            return "\(place) is in use by another process: stop it (`ss -ltnp` names it) or choose another port"
        case EACCES:
            return "this user may not listen on \(place): ports below 1024 need a privilege; choose another port"
        case EADDRNOTAVAIL:
            return "\(place): this machine has no such address; give one of its addresses, or `*` for all"
        default:
            return "can't listen on \(place): \(failure)"
        }
    }
}
