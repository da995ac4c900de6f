import UntrustedText

/// A reader of JSON (RFC 8259) for hostile input: it builds nothing but what it is asked for, and it refuses duplicate
/// member names, which Foundation's decoder resolves silently, so that two readers could disagree about a file.
///
/// Positions in messages are bytes from the document's start.
package struct JSONScanner {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    /// Scans `bytes`, which must outlive the scanner.
    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Reads an object, calling `member` after each name and colon; it must read the value.
    package mutating func object(_ member: (inout Self, String) throws -> Void) throws {
        var names: Set<String> = []
        try expect("{")
        guard !consume("}") else { return }
        repeat {
            let name = try string()
            guard names.insert(name).inserted else { throw malformed("the name \(quoted(name)) appears twice") }
            try expect(":")
            try member(&self, name)
        } while consume(",")
        try expect("}")
    }

    /// Reads an array, calling `element` where each element begins; it must read it.
    package mutating func array(_ element: (inout Self) throws -> Void) throws {
        try expect("[")
        guard !consume("]") else { return }
        repeat { try element(&self) } while consume(",")
        try expect("]")
    }

    /// Reads an integer from 0 to `Int.max`, written without sign, fraction or exponent.
    package mutating func natural() throws -> Int {
        skipWhitespace()
        let start = position
        var value = 0
        while let digit = peek().flatMap(Self.digit) {
            let (tens, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = tens.addingReportingOverflow(digit)
            guard !overflowed, !carried else { throw malformed("a number is too large") }
            value = sum
            position += 1
        }
        let hasLeadingZero = position - start > 1 && bytes[start] == UInt8(ascii: "0")
        guard position > start, !hasLeadingZero, !(peek().map(Self.continuesNumber) ?? false) else {
            throw malformed("expected a natural number")
        }
        return value
    }

    /// Reads any number, as the nearest double; one beyond its range is infinite.
    package mutating func decimal() throws -> Double {
        skipWhitespace()
        let start = position
        try number()
        guard let value = Double(String(decoding: bytes[start..<position], as: UTF8.self)) else {
            throw malformed("a number can't be read")
        }
        return value
    }

    /// Reads `true` or `false`.
    package mutating func boolean() throws -> Bool {
        skipWhitespace()
        let isTrue = peek() == UInt8(ascii: "t")
        try literal(isTrue ? "true" : "false")
        return isTrue
    }

    /// The next character that isn't white space, which for a value tells its type; nil at the end.
    package var nextCharacter: Unicode.Scalar? {
        mutating get {
            skipWhitespace()
            return peek().map { Unicode.Scalar($0) }
        }
    }

    /// Checks that nothing but white space is left.
    package mutating func end() throws {
        skipWhitespace()
        guard position == bytes.count else { throw malformed("there is something after the end of the document") }
    }

    /// Reads any value and forgets it, checking grammar, duplicate names and that nesting is at most `depth` deep.
    package mutating func skipValue(depth: Int) throws {
        guard depth > 0 else { throw malformed("values are nested too deeply") }
        skipWhitespace()
        switch peek() {
        case UInt8(ascii: "{"): try object { scanner, _ in try scanner.skipValue(depth: depth - 1) }
        case UInt8(ascii: "["): try array { try $0.skipValue(depth: depth - 1) }
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try number()
        }
    }

    /// The error for what is wrong at the present position.
    package func malformed(_ problem: String) -> CheckpointError {
        CheckpointError(.malformed, "byte \(position) of the JSON: \(problem)")
    }
}

// MARK: - Strings

extension JSONScanner {
    /// Reads a string.
    package mutating func string() throws -> String {
        try expect("\"")
        var content: [UInt8] = []
        var start = position
        while let byte = peek(), byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw malformed("a string contains a control character") }
            guard byte == UInt8(ascii: "\\") else {
                position += 1
                continue
            }
            content += bytes[start..<position]
            position += 1
            content += String(try escapedScalar()).utf8
            start = position
        }
        content += bytes[start..<position]
        try expect("\"", skippingWhitespace: false)
        guard let string = String(validating: content, as: UTF8.self) else {
            throw malformed("a string is not valid UTF-8")
        }
        guard string.isStreamSafe else { throw malformed("a string has more than 30 combining characters in a row") }
        return string
    }

    /// Reads what follows a backslash.
    private mutating func escapedScalar() throws -> Unicode.Scalar {
        defer { position += 1 }
        switch peek() {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape()
        default: throw malformed("an escape sequence is not one of JSON's")
        }
    }

    /// Reads `uXXXX`, or a surrogate pair `uXXXX\uXXXX`, up to but not including its last digit.
    private mutating func unicodeEscape() throws -> Unicode.Scalar {
        let first = try codeUnit()
        guard UTF16.isLeadSurrogate(first) else {
            guard let scalar = Unicode.Scalar(first) else { throw malformed("a surrogate stands alone") }
            return scalar
        }
        position += 1
        for expected in "\\u".utf8 {
            guard peek() == expected else { throw malformed("a surrogate stands alone") }
            position += 1
        }
        position -= 1
        let second = try codeUnit()
        guard UTF16.isTrailSurrogate(second) else { throw malformed("a surrogate stands alone") }
        return UTF16.decode(UTF16.EncodedScalar([first, second]))
    }

    /// Reads `uXXXX` up to but not including its last digit.
    private mutating func codeUnit() throws -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            position += 1
            guard let digit = peek().flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
                throw malformed("an escape sequence needs four hexadecimal digits")
            }
            unit = unit << 4 | UInt16(digit)
        }
        return unit
    }
}

// MARK: - Bytes

extension JSONScanner {
    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipWhitespace() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { position += 1 }
    }

    private mutating func consume(_ character: Unicode.Scalar) -> Bool {
        skipWhitespace()
        guard peek() == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar, skippingWhitespace: Bool = true) throws {
        if skippingWhitespace { skipWhitespace() }
        guard peek() == UInt8(ascii: character) else {
            throw malformed(position < bytes.count ? "expected '\(character)'" : "it ends early, before '\(character)'")
        }
        position += 1
    }

    private mutating func literal(_ word: StaticString) throws {
        for expected in word.description.utf8 {
            guard peek() == expected else { throw malformed("expected \(word)") }
            position += 1
        }
    }

    private mutating func number() throws {
        if peek() == UInt8(ascii: "-") { position += 1 }
        let start = position
        try digits()
        guard position - start == 1 || bytes[start] != UInt8(ascii: "0") else {
            throw malformed("a number begins with 0")
        }
        if peek() == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
            position += 1
            if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
    }

    private mutating func digits() throws {
        guard peek().flatMap(Self.digit) != nil else { throw malformed("expected a value") }
        while peek().flatMap(Self.digit) != nil { position += 1 }
    }

    private static func digit(_ byte: UInt8) -> Int? {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) ? Int(byte - UInt8(ascii: "0")) : nil
    }

    private static func continuesNumber(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ".") || byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E")
    }
}

/// Checks that `document` is one JSON value (RFC 8259) in valid UTF-8, without duplicate member names and nested at most
/// `maximumDepth` deep, so that a lenient decoder may be let loose on it.
///
/// - Throws: `CheckpointError` of kind `malformed` that says what is wrong at which byte.
public func requireStrictJSON(_ document: String, maximumDepth: Int = 16) throws {
    var document = document
    try document.withUTF8 { bytes in
        var scanner = JSONScanner(UnsafeRawBufferPointer(bytes))
        try scanner.skipValue(depth: maximumDepth)
        try scanner.end()
    }
}
