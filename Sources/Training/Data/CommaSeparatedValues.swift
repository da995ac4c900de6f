/// The records of comma-separated values as RFC 4180 describes them, read strictly.
///
/// Lines end in CRLF or LF. A field in quotation marks may hold commas, line ends and, doubled, quotation marks. What the
/// standard doesn't allow is an error rather than a guess: a quotation mark inside an unquoted field, text after a
/// closing one, a carriage return alone. Empty lines are skipped, and so is a byte-order mark at the start. Fields are
/// bytes, since a path need not be UTF-8.
struct CommaSeparatedValues: Sendable {
    /// Why bytes are not comma-separated values.
    struct Fault: Error, Equatable, CustomStringConvertible {
        /// The line, counted from 1.
        let line: Int
        let problem: String
        var description: String { "line \(line): \(problem)" }
    }

    struct Record: Equatable, Sendable {
        /// The line that it begins in, counted from 1.
        let line: Int
        /// Its fields without quotation marks; at least one.
        let fields: [[UInt8]]
    }

    private let bytes: [UInt8]
    private var place: Int
    private var line = 1

    private static let (comma, quote) = (UInt8(ascii: ","), UInt8(ascii: "\""))
    private static let (carriageReturn, lineFeed) = (UInt8(ascii: "\r"), UInt8(ascii: "\n"))

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        place = bytes.starts(with: "\u{FEFF}".utf8) ? 3 : 0
    }

    /// The next record; nil at the end.
    ///
    /// - Throws: `Fault`. Nothing can be read after it.
    mutating func next() throws(Fault) -> Record? {
        while try takeLineEnd() {}
        guard place < bytes.count else { return nil }
        let start = line
        var fields: [[UInt8]] = []
        while true {
            fields.append(try field())
            if current == Self.comma {
                place += 1
            } else if try takeLineEnd() || place == bytes.count {
                return Record(line: start, fields: fields)
            } else {
                throw fault("text follows a closing quotation mark")
            }
        }
    }

    private var current: UInt8? { place < bytes.count ? bytes[place] : nil }

    private func fault(_ problem: String) -> Fault { Fault(line: line, problem: problem) }

    /// Consumes a line end if there is one here.
    private mutating func takeLineEnd() throws(Fault) -> Bool {
        switch current {
        case Self.lineFeed: place += 1
        case Self.carriageReturn:
            guard place + 1 < bytes.count, bytes[place + 1] == Self.lineFeed else {
                throw fault("a carriage return has no line feed after it")
            }
            place += 2
        default: return false
        }
        line += 1
        return true
    }

    private mutating func field() throws(Fault) -> [UInt8] {
        if current == Self.quote { return try quotedField() }
        let start = place
        while let byte = current, byte != Self.comma, byte != Self.lineFeed, byte != Self.carriageReturn {
            guard byte != Self.quote else {
                throw fault("a field that doesn't begin with a quotation mark contains one")
            }
            place += 1
        }
        return Array(bytes[start..<place])
    }

    private mutating func quotedField() throws(Fault) -> [UInt8] {
        let opening = line
        var field: [UInt8] = []
        place += 1
        while let byte = current {
            place += 1
            if byte == Self.lineFeed { line += 1 }
            if byte == Self.quote {
                guard current == Self.quote else { return field }
                place += 1
            }
            field.append(byte)
        }
        throw Fault(line: opening, problem: "a quotation mark is never closed")
    }
}
