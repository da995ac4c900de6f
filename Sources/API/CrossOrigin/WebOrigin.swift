/// A web origin as browsers write it in the header `Origin` (RFC 6454, 6.2): scheme, host and, unless it is the scheme's own,
/// the port. The host is in lower case, and an international one in Punycode.
package struct WebOrigin: Sendable, Hashable {
    package let text: String

    /// Takes an origin only in the form in which browsers send it, since origins are compared as texts.
    ///
    /// - Throws: what is wrong, and what to write instead.
    package init(_ text: String) throws(WebOriginError) {
        guard text != "null" else {
            throw WebOriginError(
                problem: "'null' is what pages in files and sandboxes of every site send",
                remedy: "serve the page from a web server and give that server's origin")
        }
        guard let separator = text.firstRange(of: "://"), Self.isScheme(text[..<separator.lowerBound]) else {
            throw WebOriginError(
                problem: "an origin begins with a scheme", remedy: Self.form)
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        let authority = text[separator.upperBound...].prefix { !"/?#".contains($0) }
        let address = authority.split(separator: "@", omittingEmptySubsequences: false).last!.lowercased()
        guard let (host, port) = Self.hostAndPort(of: address), Self.isHost(host) else {
            throw WebOriginError(
                problem: "the host is missing or not written as browsers write it, or the port is invalid",
                remedy: Self.form)
        }
        let shown = port.map { $0 == Self.standardPorts[scheme] ? "" : ":\($0)" } ?? ""
        self.text = "\(scheme)://\(host)\(shown)"
        guard self.text == text else {
            throw WebOriginError(problem: "browsers send an origin in another form", remedy: "give \(self.text)")
        }
    }

    /// Whether a text is a host, with a port or without one, as it stands in an address.
    package static func isAuthority(_ text: some StringProtocol) -> Bool {
        hostAndPort(of: text.lowercased()).map { isHost($0.host) } ?? false
    }

    private static let form = "give an origin as browsers send it, such as https://app.example or http://localhost:5173"
    private static let standardPorts = ["http": 80, "https": 443]

    /// The host and the port of `host`, `host:port`, `[address]` or `[address]:port`; nil if the port is no port.
    private static func hostAndPort(of address: String) -> (host: Substring, port: Int?)? {
        let bracket = address.hasPrefix("[") ? address.firstIndex(of: "]") : nil
        let host = bracket.map { address[...$0] } ?? address.prefix { $0 != ":" }
        let rest = address[host.endIndex...]
        guard !rest.isEmpty else { return (host, nil) }
        let digits = rest.dropFirst()
        guard rest.hasPrefix(":"), digits.allSatisfy(\.isWholeNumber), let port = Int(digits),
            (1...65535).contains(port)
        else { return nil }
        return (host, port)
    }

    private static func isScheme(_ text: Substring) -> Bool {
        text.first?.isLetter == true
            && text.utf8.allSatisfy { isLetterOrDigit($0) || "+-.".utf8.contains($0) }
    }

    private static func isHost(_ host: Substring) -> Bool {
        guard host.hasPrefix("[") else {
            return !host.isEmpty && host.utf8.allSatisfy { isLetterOrDigit($0) || "-._".utf8.contains($0) }
        }
        let address = host.dropFirst().dropLast()
        return !address.isEmpty && address.utf8.allSatisfy { isLetterOrDigit($0) || ":.".utf8.contains($0) }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}

package struct WebOriginError: Error, Equatable, Sendable {
    package let problem: String
    /// What to write instead, after "give" or another verb.
    package let remedy: String
}
