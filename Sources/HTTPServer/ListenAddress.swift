/// Where a server is to listen, as options name it.
package enum ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// `*`: every address of the machine.
    case all
    /// A name or a numeric address, without brackets.
    case host(String)
    /// `unix:/PATH`: a socket in the file system.
    case unix(path: String)

    /// Reads `*`, `unix:/PATH`, a name, or a numeric address with or without brackets.
    package init(_ text: String) {
        if text == "*" {
            self = .all
        } else if text.hasPrefix("unix:") {
            self = .unix(path: String(text.dropFirst("unix:".count)))
        } else if text.hasPrefix("["), text.hasSuffix("]") {
            self = .host(String(text.dropFirst().dropLast()))
        } else {
            self = .host(text)
        }
    }

    package var description: String {
        switch self {
        case .all: "*"
        case .host(let name): name
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Whether only this machine can connect.
    package var isLocal: Bool {
        switch self {
        case .unix: true
        case .all: false
        case .host(let name): name == "localhost" || name == "::1" || Self.isLoopback(name)
        }
    }

    /// 127.0.0.0/8, and nothing else that begins like it, such as the name 127.example.org.
    private static func isLoopback(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Whether two listeners of the same port would want the same address.
    package func overlaps(_ other: ListenAddress) -> Bool {
        switch (self, other) {
        case (.unix(let left), .unix(let right)): left == right
        case (.unix, _), (_, .unix): false
        case (.all, _), (_, .all): true
        case (.host(let left), .host(let right)):
            Self.canonical(left) == Self.canonical(right) || [left, right].contains { $0 == "0.0.0.0" || $0 == "::" }
        }
    }

    private static func canonical(_ name: String) -> String { name.lowercased() == "localhost" ? "127.0.0.1" : name }
}

extension ServerAddress {
    /// The address at which this machine reaches a server with that listening address.
    package init(of listener: ListenAddress, port: UInt16) {
        self =
            switch listener {
            case .unix(let path): .unix(path: path)
            case .all, .host("0.0.0.0"): .internet(host: "127.0.0.1", port: port)
            case .host("::"): .internet(host: "::1", port: port)
            case .host(let name): .internet(host: name, port: port)
            }
    }
}
