import UntrustedText

/// A reader of JSON (RFC 8259) for hostile input, in one pass: the caller asks for the value that it expects next, so nothing is
/// built that it didn't ask for. Duplicate member names are refused. Foundation's decoder resolves them silently, so two readers
/// could disagree about a file.
///
/// An error in the grammar is located by its byte, counted from the document's start. A value of another type than the one asked
/// for is located by its path, such as `taps[0].time`, which the sender of the document knows.
package struct JSONReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position: Int
    /// The path of the value that is being read.
    package private(set) var path = JSONPath()

    /// Reads `bytes` from the given position. They must outlive the reader.
    package init(_ bytes: UnsafeRawBufferPointer, from position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    /// Reads an object, calling `member` after each name and colon; it must read the value.
    package mutating func object(_ member: (inout Self, String) throws -> Void) throws {
        var names: Set<String> = []
        guard consume("{") else { throw mismatch("an object") }
        guard !consume("}") else { return }
        path.enter()
        repeat {
            guard nextCharacter == "\"" else { throw malformed("expected a name in double quotation marks") }
            let name = try string()
            guard names.insert(name).inserted else { throw malformed("the name \(quoted(name)) appears twice") }
            try expect(":")
            path.step(to: name)
            try member(&self, name)
        } while consume(",")
        path.leave()
        guard consume("}") else { throw expected("',' or '}'") }
    }

    /// Reads an array, calling `element` where each element begins; it must read it.
    package mutating func array(_ element: (inout Self) throws -> Void) throws {
        guard consume("[") else { throw mismatch("an array") }
        guard !consume("]") else { return }
        path.enter()
        repeat {
            path.stepToNextElement()
            try element(&self)
        } while consume(",")
        path.leave()
        guard consume("]") else { throw expected("',' or ']'") }
    }

    /// Reads an integer from 0 to `Int.max`. With a fraction of zeros or an exponent, as in 2.0 and 1e3, it is one too, as JSON
    /// Schema has it, up to 2^53.
    package mutating func natural() throws -> Int {
        skipWhitespace()
        let start = position
        let value = try leadingDigits()
        guard continuesAsNumber else { return value }
        position = start
        return try naturalDecimal()
    }

    /// Reads an integer from 0 to `Int.max` that has digits only, as a format has it whose other readers accept nothing else.
    package mutating func naturalInDigits() throws -> Int {
        skipWhitespace()
        let start = position
        let value = try leadingDigits()
        guard !continuesAsNumber else {
            position = start
            throw mismatch(Self.natural)
        }
        return value
    }

    private var continuesAsNumber: Bool { peek().map(Self.continuesNumber) ?? false }

    /// Reads the digits that an integer begins with.
    private mutating func leadingDigits() throws -> Int {
        let start = position
        var value = 0
        while let digit = peek().flatMap(Self.digit) {
            let (tens, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = tens.addingReportingOverflow(digit)
            guard !overflowed, !carried else { throw invalid("is too large a number") }
            value = sum
            position += 1
        }
        let hasLeadingZero = position - start > 1 && bytes[start] == UInt8(ascii: "0")
        guard position > start, !hasLeadingZero else {
            position = start
            throw mismatch(Self.natural)
        }
        return value
    }

    private static let natural = "a whole number of at least 0"

    /// Reads an integer that is written with a fraction or an exponent.
    private mutating func naturalDecimal() throws -> Int {
        let start = position
        let value = try decimal()
        guard value == value.rounded() else {
            position = start
            throw mismatch(Self.natural)
        }
        guard value <= 0x1p53 else { throw invalid("is too large a number") }
        return Int(value)
    }

    /// Reads any number, as the nearest double; one beyond its range is infinite.
    package mutating func decimal() throws -> Double {
        guard nextIsNumber else { throw mismatch("a number") }
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
        guard peek() == UInt8(ascii: "t") || peek() == UInt8(ascii: "f") else { throw mismatch("true or false") }
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

    /// Whether the next value is a number, or begins as one.
    package var nextIsNumber: Bool {
        mutating get {
            skipWhitespace()
            return peek().map(Self.beginsNumber) ?? false
        }
    }

    /// Checks that nothing but white space is left.
    package mutating func end() throws {
        skipWhitespace()
        guard position == bytes.count else { throw malformed("text follows the end of the document") }
    }

    /// Reads any value and drops it, checking grammar, duplicate names and that nesting is at most `depth` deep.
    package mutating func skipValue(depth: Int) throws {
        guard depth > 0 else { throw malformed("values are nested too deeply") }
        skipWhitespace()
        switch peek() {
        case UInt8(ascii: "{"): try object { reader, _ in try reader.skipValue(depth: depth - 1) }
        case UInt8(ascii: "["): try array { try $0.skipValue(depth: depth - 1) }
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try number()
        }
    }

    /// The error for what is not JSON at the present position.
    package func malformed(_ problem: String) -> JSONError {
        JSONError("byte \(position) of the JSON: \(problem)")
    }

    /// The error for a value that is JSON but not what it should be.
    ///
    /// - Parameter problem: the rest of the sentence, such as "has no name".
    package func invalid(_ problem: String) -> JSONError { JSONError("\(path) \(problem)") }

    /// The error for a value that is not of the type asked for: by its path if the value is one of JSON's, else by its byte.
    ///
    /// - Parameter type: what it must be, with its article.
    package mutating func mismatch(_ type: String) -> JSONError {
        guard let value = valueDescription else { return expected(type) }
        return invalid("must be \(type); it is \(value)")
    }

    private func expected(_ what: String) -> JSONError {
        malformed(position < bytes.count ? "expected \(what)" : "it ends early, before \(what)")
    }

    /// What the value at the present position is; nil if it is none of JSON's.
    private var valueDescription: String? {
        mutating get {
            switch nextCharacter {
            case "{": "an object"
            case "[": "an array"
            case "\"": "a string"
            case "t": isNext("true") ? "the boolean true" : nil
            case "f": isNext("false") ? "the boolean false" : nil
            case "n": isNext("null") ? "null" : nil
            case "-", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9": "the number \(numberText)"
            default: nil
            }
        }
    }

    private func isNext(_ word: StaticString) -> Bool {
        bytes[position...].starts(with: UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
    }

    /// The number at the present position as it is written, cut if it is long.
    private var numberText: String {
        let isPart: (UInt8) -> Bool = { Self.digit($0) != nil || "+-.eE".utf8.contains($0) }
        let text = bytes[position...].prefix(25).prefix(while: isPart)
        return text.count < 25
            ? String(decoding: text, as: UTF8.self) : String(decoding: text.dropLast(), as: UTF8.self) + "…"
    }
}

// MARK: - Strings

extension JSONReader {
    /// Reads a string.
    ///
    /// - Parameter type: what an error says that the value must be.
    package mutating func string(_ type: @autoclosure () -> String = "a string") throws -> String {
        guard consume("\"") else { throw mismatch(type()) }
        var content: [UInt8] = []
        var start = position
        while let byte = peek(), byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else {
                throw malformed(
                    byte == 0x0A || byte == 0x0D
                        ? "a string contains a line break, which JSON writes as \\n"
                        : "a string contains a control character")
            }
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
        guard peek() != nil else { throw expected("the end of a string") }
        position += 1
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
            guard let scalar = Unicode.Scalar(first) else { throw malformed("a surrogate is unpaired") }
            return scalar
        }
        position += 1
        for expected in "\\u".utf8 {
            guard peek() == expected else { throw malformed("a surrogate is unpaired") }
            position += 1
        }
        position -= 1
        let second = try codeUnit()
        guard UTF16.isTrailSurrogate(second) else { throw malformed("a surrogate is unpaired") }
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

extension JSONReader {
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

    private mutating func expect(_ character: Unicode.Scalar) throws {
        guard consume(character) else { throw expected("'\(character)'") }
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

    private static func beginsNumber(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "-") || digit(byte) != nil }

    private static func continuesNumber(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ".") || byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E")
    }
}

// MARK: - Documents

extension JSONReader {
    /// Reads a whole document in UTF-8. A byte-order mark at its start is skipped (RFC 8259, 8.1).
    ///
    /// - Parameter body: reads the document's value; nothing but white space may follow it.
    /// - Throws: `JSONError` for an empty document, other encodings and other text than JSON; what `body` throws.
    package static func read<Value>(
        _ document: some Collection<UInt8>, _ body: (inout JSONReader) throws -> Value
    ) throws -> Value {
        guard !document.isEmpty else { throw JSONError("the document is empty; it must be JSON") }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        // The first two characters of JSON are ASCII, so a zero in one of them means a wider encoding (RFC 4627, 3).
        guard ![[0xFE, 0xFF], [0xFF, 0xFE]].contains(where: document.starts(with:)), !document.prefix(2).contains(0)
        else {
            throw JSONError("the JSON is in UTF-16 or UTF-32; send it in UTF-8")
        }
        func read(_ bytes: UnsafeRawBufferPointer) throws -> Value {
            var reader = JSONReader(bytes, from: bytes.starts(with: mark) ? mark.count : 0)
            let value = try body(&reader)
            try reader.end()
            return value
        }
        return try document.withContiguousStorageIfAvailable { try read(UnsafeRawBufferPointer($0)) }
            ?? Array(document).withUnsafeBytes(read)
    }

    /// Checks that `document` is one JSON value in valid UTF-8, without duplicate member names and nested at most
    /// `maximumDepth` deep, so that a lenient decoder may read it.
    ///
    /// - Throws: `JSONError`.
    package static func check(_ document: [UInt8], maximumDepth: Int = 16) throws {
        try document.withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            try reader.skipValue(depth: maximumDepth)
            try reader.end()
        }
    }
}
