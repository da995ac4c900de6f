import CNettle

/// Base64 with padding (RFC 4648, section 4).
package enum Base64 {
    /// Where text is not base64.
    package struct DecodingFailure: Error, Equatable {
        /// What is wrong and at which character.
        package let reason: String
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")
    private static let invalid: UInt8 = 0xFF
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: invalid, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    /// The characters of the text, by nettle.
    package static func encode(_ bytes: [UInt8]) -> [UInt8] {
        let count = base64_encoded_length(bytes.count)
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            buffer.withMemoryRebound(to: CChar.self) { nettle_base64_encode_raw($0.baseAddress, bytes.count, bytes) }
            initializedCount = count
        }
    }

    /// The bytes that text stands for.
    ///
    /// Line breaks are skipped, since MIME's encoders write one after every 76 characters (RFC 2045, 6.8). Everything
    /// else is strict: padding is required, unused bits are zero, the alphabet is that of RFC 4648, section 4. So a text
    /// that is cut off is refused here, and a space is not skipped: it may have been a + that was decoded as in a URL.
    ///
    /// Not by nettle, whose decoder skips spaces, doesn't say where it fails, and is a quarter slower.
    ///
    /// - Parameters:
    ///   - text: UTF-8.
    ///   - offset: how many characters precede these, for the position in an error.
    package static func decode(_ text: UnsafeBufferPointer<UInt8>, offset: Int = 0) throws(DecodingFailure) -> [UInt8] {
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
