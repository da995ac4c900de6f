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

    /// The bytes that text stands for. Strict: no white space, padding required, unused bits zero, so that every
    /// sequence of bytes has one text.
    static func decode(_ text: String) throws(DecodingFailure) -> [UInt8] {
        var characters = Array(text.utf8)
        guard characters.count.isMultiple(of: 4) else {
            throw DecodingFailure(
                reason: "its \(characters.count) characters are not a multiple of 4; is it cut off or unpadded?")
        }
        let padded = characters.suffix(2).reversed().prefix { $0 == padding }.count
        characters.removeLast(padded)
        let values = values
        var bytes: [UInt8] = []
        bytes.reserveCapacity(characters.count / 4 * 3 + 3)
        var (pending, bits): (UInt32, UInt32) = (0, 0)
        for (index, character) in characters.enumerated() {
            let value = values[Int(character)]
            guard value != invalid else {
                throw DecodingFailure(reason: "character \(index + 1) is not in base64's alphabet (A-Z a-z 0-9 + /)")
            }
            pending = pending << 6 | UInt32(value)
            bits += 6
            guard bits >= 8 else { continue }
            bits -= 8
            bytes.append(UInt8(truncatingIfNeeded: pending >> bits))
            pending &= 1 << bits - 1
        }
        guard pending == 0 else {
            throw DecodingFailure(reason: "its last character has bits that belong to no byte")
        }
        return bytes
    }
}
