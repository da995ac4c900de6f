/// What one request is called in responses and logs (`X-Request-Id`): 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
package struct RequestID: Sendable, Hashable, CustomStringConvertible {
    package static let longest = 128

    package let description: String

    /// A client's id, or nil if it isn't of the form above: it goes into headers and logs as it is.
    package init?(_ text: String) {
        let characters = text.utf8
        guard (1...Self.longest).contains(characters.count), characters.allSatisfy(Self.isAllowed) else { return nil }
        description = text
    }

    /// The client's id if it gave a valid one, else a new one.
    package init(accepting text: String?) {
        self = text.flatMap(RequestID.init) ?? .random()
    }

    private init(unchecked text: String) { description = text }

    /// A new id: 128 random bits as 32 hexadecimal digits.
    package static func random() -> RequestID {
        let halves = (0..<2).map { _ in UInt64.random(in: 0 ... .max).padded(to: 16, radix: 16) }
        return RequestID(unchecked: halves.joined())
    }

    private static func isAllowed(_ character: UInt8) -> Bool {
        switch character {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
