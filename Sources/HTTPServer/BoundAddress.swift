import Glibc

/// Where a server listens, as the system says it.
public enum BoundAddress: Sendable, Equatable {
    /// A numeric IPv4 or IPv6 address, without brackets, and its port.
    case internet(host: String, port: UInt16)
    /// A socket of the file system; empty for one without a name.
    case unix(path: String)

    /// The address that a socket is bound to; nil for what is neither.
    public init?(ofSocket descriptor: Int32) {
        var address = SocketAddress()
        guard address.withMutablePointer({ getsockname(descriptor, $0, $1) }) == 0 else { return nil }
        switch address.family {
        case AF_INET, AF_INET6:
            self = .internet(
                host: address.withPointer { pointer, _ in SocketAddress.text(of: pointer) }, port: address.port)
        case AF_UNIX: self = .unix(path: address.path)
        default: return nil
        }
    }

    /// The TCP port; 0 if there is none.
    public var port: Int {
        switch self {
        case .internet(_, let port): Int(port)
        case .unix: 0
        }
    }

    /// Whether only this machine can connect.
    public var isLocal: Bool {
        switch self {
        case .internet(let host, _): host == "::1" || host.hasPrefix("127.")
        case .unix: true
        }
    }

    /// The address to ask from this machine: a URL, IPv6 addresses in brackets, or `unix:` and the path.
    public func url(scheme: String) -> String {
        switch self {
        case .internet(let host, let port):
            let reachable = host == "0.0.0.0" || host == "::" ? "localhost" : host
            return "\(scheme)://\(reachable.contains(":") ? "[\(reachable)]" : reachable):\(port)"
        case .unix(let path): return "unix:\(path)"
        }
    }
}
