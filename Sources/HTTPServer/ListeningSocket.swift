import CMicroHTTPD
import Glibc

/// A socket that accepts connections, opened here rather than by libmicrohttpd: it tells only that binding failed, not
/// why, and its `MHD_quiesce_daemon` races with its event threads for the socket's place in their epoll sets, aborting
/// the process when it loses.
struct ListeningSocket {
    let descriptor: Int32
    let port: UInt16

    private init(descriptor: Int32, port: UInt16) {
        self.descriptor = descriptor
        self.port = port
    }

    init(_ configuration: ServerConfiguration) throws(ServerError) {
        var reasons: [String] = []
        for address in try Self.addresses(of: configuration) {
            do throws(SystemCallFailure) {
                let descriptor = try Self.open(address, configuration)
                self.init(descriptor: descriptor, port: Self.port(of: descriptor))
                return
            } catch {
                reasons.append(Self.explain(error, configuration))
            }
        }
        throw .cannotListen(reasons.last ?? "\(configuration.host) names no address")
    }

    /// A client's connected, non-blocking socket and its address, nil if none is waiting.
    static func accept(from listener: Int32) throws(SystemCallFailure) -> (socket: Int32, address: SocketAddress)? {
        while true {
            var address = SocketAddress()
            let socket = address.withMutablePointer { CLinuxAccept(listener, $0, $1) }
            if socket >= 0 { return (socket, address) }
            switch errno {
            case EAGAIN, EWOULDBLOCK: return nil
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: throw SystemCallFailure(call: "accept", number: errno)
            default: continue  // The client left before it was accepted, or a signal came.
            }
        }
    }

    private static func addresses(of configuration: ServerConfiguration) throws(ServerError) -> [SocketAddress] {
        let service = String(configuration.port)
        if configuration.host == "*" {
            // IPv6 first: such a socket serves IPv4 too. Machines without IPv6 fall back to IPv4 alone.
            return ["::", "0.0.0.0"].flatMap { (try? SocketAddress.resolve(host: $0, service: service)) ?? [] }
        }
        var host = configuration.host
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return try SocketAddress.resolve(host: host, service: service)
    }

    private static func open(
        _ address: SocketAddress, _ configuration: ServerConfiguration
    ) throws(SystemCallFailure) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = try SystemCallFailure.check("socket", socket(address.family, type, 0))
        do throws(SystemCallFailure) {
            // Without it a restart would have to wait for the old connections' TIME_WAIT.
            try set(SO_REUSEADDR, level: SOL_SOCKET, to: 1, on: descriptor)
            if configuration.reusePort { try set(SO_REUSEPORT, level: SOL_SOCKET, to: 1, on: descriptor) }
            if address.family == AF_INET6 {
                try set(IPV6_V6ONLY, level: Int32(IPPROTO_IPV6), to: configuration.host == "*" ? 0 : 1, on: descriptor)
            }
            // Inherited by every connection accepted: responses are written whole, so Nagle's delay gains nothing.
            try set(TCP_NODELAY, level: Int32(IPPROTO_TCP), to: 1, on: descriptor)
            try SystemCallFailure.check("bind", address.withPointer { bind(descriptor, $0, $1) })
            try SystemCallFailure.check("listen", listen(descriptor, configuration.backlog))
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func set(
        _ option: Int32, level: Int32, to value: Int32, on descriptor: Int32
    ) throws(SystemCallFailure) {
        var value = value
        try SystemCallFailure.check(
            "setsockopt", setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)))
    }

    private static func port(of descriptor: Int32) -> UInt16 {
        var address = SocketAddress()
        // Cannot fail: the descriptor is a bound socket and the address long enough.
        _ = address.withMutablePointer { getsockname(descriptor, $0, $1) }
        return address.port
    }

    private static func explain(_ failure: SystemCallFailure, _ configuration: ServerConfiguration) -> String {
        let place = "\(configuration.host) port \(configuration.port)"
        switch failure.number {
        case EADDRINUSE:
            return "\(place) is in use by another process: stop it (`ss -ltnp` names it) or choose another port"
        case EACCES:
            return "\(place) may not be listened on: ports below 1024 need a privilege; choose another port"
        case EADDRNOTAVAIL:
            return "\(place): this machine has no such address; `*` listens on all it has"
        default:
            return "\(place) cannot be listened on: \(failure)"
        }
    }
}

/// A system call that failed, and how.
struct SystemCallFailure: Error, CustomStringConvertible {
    var call: String
    var number: Int32

    var description: String {
        let reason = "\(call): \(String(cString: strerror(number)))"
        guard call == "pthread_create" else { return reason }
        return
            "the system refuses a thread (\(reason)): raise the limit of the address space (ulimit -v), of the user's "
            + "processes (ulimit -u) or of the cgroup's (pids.max)"
    }

    @discardableResult
    static func check(_ call: String, _ result: Int32) throws(SystemCallFailure) -> Int32 {
        guard result >= 0 else { throw SystemCallFailure(call: call, number: errno) }
        return result
    }
}

/// An IPv4 or IPv6 address with its port.
struct SocketAddress {
    private var storage = sockaddr_storage()
    private var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

    var family: Int32 { Int32(storage.ss_family) }

    var port: UInt16 {
        withPointer { address, _ in
            // The port stands at the same place in sockaddr_in and sockaddr_in6.
            UnsafeRawPointer(address).load(fromByteOffset: 2, as: UInt16.self).bigEndian
        }
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    mutating func withMutablePointer<Result>(
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Result
    ) -> Result {
        withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, &length) }
        }
    }

    /// The addresses of a host, IPv4 before IPv6.
    static func resolve(host: String, service: String) throws(ServerError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, service, &hints, &list)
        guard status == 0 else {
            throw .cannotListen(
                "\(host) is no address of this machine (\(String(cString: gai_strerror(status)))): "
                    + "give an IPv4 or IPv6 address, or * for all")
        }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        for entry in sequence(first: list, next: { $0?.pointee.ai_next }) {
            guard let entry, let name = entry.pointee.ai_addr else { break }
            var address = SocketAddress()
            address.length = entry.pointee.ai_addrlen
            withUnsafeMutableBytes(of: &address.storage) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: name, count: Int(entry.pointee.ai_addrlen)))
            }
            found.append(address)
        }
        return found.filter { $0.family == AF_INET } + found.filter { $0.family == AF_INET6 }
    }

    /// The numeric address of a client, an IPv4 client of an IPv6 socket shown as IPv4.
    static func text(of address: UnsafePointer<sockaddr>?) -> String {
        guard let address else { return "" }
        let length =
            address.pointee.sa_family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
        var text = [CChar](repeating: 0, count: 64)
        guard getnameinfo(address, socklen_t(length), &text, 64, nil, 0, NI_NUMERICHOST) == 0 else { return "" }
        let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return name.hasPrefix("::ffff:") ? String(name.dropFirst(7)) : name
    }
}
