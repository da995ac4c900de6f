import CMicroHTTPD
import Files
import Glibc

/// A socket's address: IPv4 or IPv6 with its port, or a path in the file system.
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

    /// The path of a socket in the file system; empty if it has none.
    var path: String {
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
        return withUnsafeBytes(of: storage) { bytes in
            String(decoding: bytes[..<Int(length)].dropFirst(offset).prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// The longest path of a socket in the file system, in bytes.
    static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    init() {}

    /// A path in the file system, at most ``longestPath`` bytes.
    init(path: String) {
        storage.ss_family = sa_family_t(AF_UNIX)
        length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
        withUnsafeMutableBytes(of: &storage) { bytes in
            UnsafeMutableRawBufferPointer(rebasing: bytes[offset...])
                .copyBytes(from: path.utf8.prefix(Self.longestPath))
        }
    }

    /// A stream socket that doesn't block and that child processes don't inherit.
    static func newSocket(_ family: Int32) throws(SystemError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        return try SystemError.check("socket", socket(family, type, 0))
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
                "\(host) is not an address of this machine (\(String(cString: gai_strerror(status)))): "
                    + "give an IPv4 or IPv6 address without a port, * for all addresses, or unix:/PATH")
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

    /// The numeric address of a client, an IPv4 client of an IPv6 socket shown as IPv4; `unix` for one of a socket in the
    /// file system, where clients have no address.
    static func text(of address: UnsafePointer<sockaddr>?) -> String {
        guard let address else { return "" }
        guard address.pointee.sa_family != AF_UNIX else { return "unix" }
        let length =
            address.pointee.sa_family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
        var text = [CChar](repeating: 0, count: 64)
        guard getnameinfo(address, socklen_t(length), &text, 64, nil, 0, NI_NUMERICHOST) == 0 else { return "" }
        let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return name.hasPrefix("::ffff:") ? String(name.dropFirst(7)) : name
    }
}
