import Glibc

package enum ServerAddress: Sendable, Equatable, CustomStringConvertible {
    /// A host and its port. The system tells numeric addresses, without brackets; a name or brackets may be asked for.
    case internet(host: String, port: UInt16)
    /// A socket of the file system; empty for one without a name.
    case unix(path: String)

    /// The address that a socket is bound to; nil for what is neither.
    package init?(ofSocket descriptor: Int32) {
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

    package var port: Int {
        switch self {
        case .internet(_, let port): Int(port)
        case .unix: 0
        }
    }

    /// Whether only this machine can connect.
    package var isLocal: Bool {
        switch self {
        case .internet(let host, _): host == "::1" || host.hasPrefix("127.")
        case .unix: true
        }
    }

    /// Host and port, IPv6 addresses in brackets, or `unix:` and the path.
    package var description: String {
        switch self {
        case .internet(let host, let port):
            host.contains(":") && !host.hasPrefix("[") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The address to ask from this machine: a URL, or `unix:` and the path.
    package func url(scheme: String) -> String {
        switch self {
        case .internet("0.0.0.0", let port), .internet("::", let port): "\(scheme)://localhost:\(port)"
        case .internet: "\(scheme)://\(self)"
        case .unix: description
        }
    }
}
