/// Paths and arguments as text, though the system knows them as bytes.
///
/// A file's name may be any bytes but `/` and zero, and need not be UTF-8. Text is Unicode. So each byte that is not part
/// of valid UTF-8 stands in the text as the code point U+10FE00 plus the byte, in a private-use plane. If a name has such
/// a code point itself, its four bytes are taken one by one as well. So every path has exactly one text, and `pathBytes`
/// gives back the bytes it was made of; a path in UTF-8 is its own text. `printable` and `shown` write these code points
/// as `\xE9`. A path type of bytes was rejected: arguments, options and messages are text all the way.
extension String {
    /// The text of a path or an argument of these bytes.
    package init(pathBytes bytes: some Collection<UInt8>) {
        if let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: \.standsForByte) {
            self = text
            return
        }
        self = ""
        var rest = Array(bytes)[...]
        while let first = rest.first {
            let length = Self.sequenceLength(of: first)
            if let text = String(validating: rest.prefix(length), as: UTF8.self),
                let scalar = text.unicodeScalars.first,
                !scalar.standsForByte
            {
                unicodeScalars.append(scalar)
                rest = rest.dropFirst(length)
            } else {
                unicodeScalars.append(Unicode.Scalar(standingFor: first))
                rest = rest.dropFirst()
            }
        }
    }

    /// The bytes of the path or argument whose text this is.
    package var pathBytes: [UInt8] {
        guard unicodeScalars.contains(where: \.standsForByte) else { return Array(utf8) }
        return unicodeScalars.flatMap { scalar in
            scalar.standsForByte ? [UInt8(truncatingIfNeeded: scalar.value)] : Array(String(scalar).utf8)
        }
    }

    /// The path as system calls take it: its bytes and a zero.
    package var systemPath: [CChar] { pathBytes.map { CChar(bitPattern: $0) } + [0] }

    /// How many bytes a sequence of UTF-8 has that begins with this one; 1 if none does.
    private static func sequenceLength(of first: UInt8) -> Int {
        switch first {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
    }
}

extension Unicode.Scalar {
    /// Whether it stands for a byte of a path that is not UTF-8.
    package var standsForByte: Bool { (0x10FE80...0x10FEFF).contains(value) }

    fileprivate init(standingFor byte: UInt8) {
        // A byte below 0x80 is always valid UTF-8.
        precondition(byte >= 0x80)
        self.init(0x10FE00 + UInt32(byte))!
    }

    /// As a message shows what a terminal must not get.
    var escaped: String {
        standsForByte
            ? "\\x\(String(UInt8(truncatingIfNeeded: value), radix: 16, uppercase: true))" : escaped(asASCII: true)
    }
}
