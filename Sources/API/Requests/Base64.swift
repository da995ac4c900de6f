/// Base64 with padding (RFC 4648, section 4).
enum Base64 {
    /// Where text is not base64.
    struct DecodingFailure: Error, Equatable {
        /// What is wrong and at which character.
        let reason: String
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")
    private static let invalid: UInt8 = 0xFF
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: invalid, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    /// The text's characters.
    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        // A local constant: the static one is checked for its initialisation at every use.
        let alphabet = alphabet
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group = UInt32(bytes[start]) << 16
            if count > 1 { group |= UInt32(bytes[start + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[start + 2]) }
            for place in 0..<4 {
                text.append(place <= count ? alphabet[Int(group >> (18 - 6 * place) & 63)] : padding)
            }
        }
        return text
    }

    /// The bytes that text stands for.
    ///
    /// Line breaks are passed over, since MIME's encoders write one after every 76 characters (RFC 2045, 6.8). Everything
    /// else is strict: padding is required, unused bits are zero, the alphabet is that of RFC 4648, section 4. So a text
    /// that is cut off is refused here, and a space is not passed over: it may have been a + that was decoded as in a URL.
    ///
    /// - Parameters:
    ///   - text: UTF-8.
    ///   - offset: how many characters precede these, for the position in an error.
    static func decode(
        _ text: UnsafeBufferPointer<UInt8>, offset: Int = 0
    ) throws(DecodingFailure) -> [UInt8] {
        let values = values
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var (group, digits, padded): (UInt32, Int, Int) = (0, 0, 0)
        for (index, character) in text.enumerated() {
            let value = values[Int(character)]
            if value < invalid, padded == 0 {
                group = group << 6 | UInt32(value)
                digits += 1
                guard digits.isMultiple(of: 4) else { continue }
                bytes.append(UInt8(truncatingIfNeeded: group >> 16))
                bytes.append(UInt8(truncatingIfNeeded: group >> 8))
                bytes.append(UInt8(truncatingIfNeeded: group))
                group = 0
            } else if character == padding {
                padded += 1
            } else if character != UInt8(ascii: "\n"), character != UInt8(ascii: "\r") {
                throw DecodingFailure(reason: "character \(offset + index + 1) \(fault(character, padded: padded > 0))")
            }
        }
        let rest = digits % 4
        guard (digits + padded).isMultiple(of: 4) else {
            throw DecodingFailure(
                reason:
                    "its \(digits + padded) characters are not a multiple of 4; is it cut off, or is its padding (=) missing?"
            )
        }
        guard padded <= 2 else { throw DecodingFailure(reason: "its padding (=) is longer than two characters") }
        guard rest > 0 else { return bytes }
        guard group & (rest == 2 ? 0xF : 0x3) == 0 else {
            throw DecodingFailure(reason: "its last character has surplus bits; is it cut off?")
        }
        bytes.append(UInt8(truncatingIfNeeded: group >> (rest == 2 ? 4 : 10)))
        if rest == 3 { bytes.append(UInt8(truncatingIfNeeded: group >> 2)) }
        return bytes
    }

    /// What is wrong with a character.
    private static func fault(_ character: UInt8, padded: Bool) -> String {
        switch character {
        case UInt8(ascii: " "): "is a space; was it a + that was decoded as in a URL?"
        case UInt8(ascii: "-"), UInt8(ascii: "_"):
            "is from the URL-safe alphabet; write + for - and / for _, and pad with ="
        case _ where padded: "follows the padding"
        default: "is not in base64's alphabet (A-Z a-z 0-9 + /)"
        }
    }
}
