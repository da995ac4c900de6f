package enum LogFormat: String, Sendable, CaseIterable {
    /// `2024-02-29T23:59:59.999Z info    message name=value`, for people.
    case text
    /// One JSON object a line, for collectors: `time`, `level`, `message`, then the fields.
    case json
}

/// Encodes one log line, of at most a given length and safe to show: no value can end the line, forge another or
/// command a terminal.
///
/// JSON is put together here and not by `JSONWriter`, because both forms share the escaping, which is stricter, and because fields
/// that don't fit are left out.
struct LogLine {
    /// A name that a field can't take, since every line has it already; such a field gets an underscore appended.
    private static let reservedNames: Set<String> = ["time", "level", "message", "truncated"]

    let format: LogFormat
    let time: Timestamp
    let level: LogLevel
    let message: String
    let fields: LogFields

    /// The line with its newline. Fields that don't fit in `limit` bytes are left out from the first such on, and the
    /// line says `truncated`.
    func encoded(limit: Int) -> [UInt8] {
        let (closing, truncation) = format == .json ? ("}\n", ",\"truncated\":true") : ("\n", " truncated=true")
        var line = head
        let room = limit - closing.utf8.count - truncation.utf8.count
        for (name, value) in fields.pairs {
            let field = encoded(name: name, value)
            guard line.utf8.count + field.utf8.count <= room else {
                line += truncation
                break
            }
            line += field
        }
        return Array((line + closing).utf8)
    }

    private var head: String {
        switch format {
        case .json:
            return #"{"time":"\#(time.iso8601)","level":"\#(level.rawValue)","message":\#(Self.quoted(message))"#
        case .text:
            let padding = String(repeating: " ", count: "warning".count - level.rawValue.count)
            return "\(time.iso8601) \(level.rawValue)\(padding) \(Self.escaped(message, quotes: false))"
        }
    }

    private func encoded(name: String, _ value: LogValue) -> String {
        let name = Self.reservedNames.contains(name) ? name + "_" : name
        switch format {
        case .json: return ",\(Self.quoted(name)):\(encoded(value))"
        case .text: return " \(Self.text(name))=\(encoded(value))"
        }
    }

    private func encoded(_ value: LogValue) -> String {
        switch value {
        case .string(let text): format == .json ? Self.quoted(text) : Self.text(text)
        case .int64(let integer): String(integer)
        case .number(let number) where format == .json && !number.isFinite: Self.quoted(number.description)
        case .number(let number): number.description
        case .boolean(let boolean): String(boolean)
        }
    }

    /// Bare where it can't be misread, else in quotes.
    private static func text(_ string: String) -> String {
        let isPlain =
            !string.isEmpty && string.utf8.count <= Logger.longestValue
            && string.utf8.allSatisfy { (0x21...0x7E).contains($0) && !#""\="#.utf8.contains($0) }
        return isPlain ? string : quoted(string)
    }

    private static func quoted(_ text: String) -> String { "\"\(escaped(text, quotes: true))\"" }

    /// The text with JSON's escapes for whatever could act rather than be read, at most ``Logger/longestValue`` bytes.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let piece =
                switch scalar {
                case "\n": "\\n"
                case "\r": "\\r"
                case "\t": "\\t"
                case "\\" where quotes: "\\\\"
                case "\"" where quotes: "\\\""
                case _ where actsOnDisplay(scalar): "\\u" + scalar.value.padded(to: 4, radix: 16)
                default: String(scalar)
                }
            guard result.utf8.count + piece.utf8.count <= Logger.longestValue else { return result + "…" }
            result += piece
        }
        return result
    }

    /// Control characters (C0, DEL, C1), line and paragraph separators, and the marks that reorder what is displayed.
    private static func actsOnDisplay(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x1F, 0x7F...0x9F, 0x61C, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }
}
