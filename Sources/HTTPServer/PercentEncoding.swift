/// Bytes written as `%` and two hexadecimal digits (RFC 3986, 2.1).
package enum PercentEncoding {
    /// The bytes that a text stands for; nil where a `%` is not followed by two hexadecimal digits.
    ///
    /// - Parameter slash: what an escaped slash becomes.
    package static func decode(_ text: some Sequence<UInt8>, slash: String = "/") -> [UInt8]? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.underestimatedCount)
        var bytes = text.makeIterator()
        while let byte = bytes.next() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard let high = bytes.next().flatMap(digit), let low = bytes.next().flatMap(digit) else { return nil }
            let escaped = high << 4 | low
            if escaped == UInt8(ascii: "/") { decoded += slash.utf8 } else { decoded.append(escaped) }
        }
        return decoded
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
