private let semicolon = UInt8(ascii: ";")
private let equalsSign = UInt8(ascii: "=")
private let quotationMark = UInt8(ascii: "\"")
private let backslash = UInt8(ascii: "\\")

/// A header field's value with parameters, such as `form-data; name="image"`. Bytes, not characters: to Swift a = with an
/// accent behind it is another character.
struct ParameterizedValue {
    /// All of it, without the white space around it.
    let bytes: ArraySlice<UInt8>
    private let parameters: [(name: String, value: [UInt8])]

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes.trimmingBlanks
        parameters = Self.parameters(in: self.bytes)
    }

    /// Whether the value before the parameters is this type.
    func hasType(_ type: String) -> Bool {
        HTTPHeaders.equal(decoded(bytes.prefix { $0 != semicolon }.trimmingBlanks), type)
    }

    /// The first parameter of that name.
    func bytes(_ name: String) -> [UInt8]? { parameters.first { HTTPHeaders.equal($0.name, name) }?.value }

    /// The text of a parameter in any of its forms: `name*=utf-8''n%C3%A4me` (RFC 8187), which takes precedence over the plain
    /// form; `name="name"`; or in sections `name*0="na"; name*1*=me` (RFC 2231). An extended value that can't be decoded is
    /// returned undecoded: a part with a file name has one, even if it is malformed.
    func text(_ name: String) -> String? {
        let extended = bytes(name + "*")
        if let text = extended.flatMap(Self.extendedText) { return text }
        return (bytes(name) ?? extended).map { decoded($0[...]) } ?? continuedText(name)
    }

    /// Sections of a parameter beyond these are not read: each is looked for among all parameters.
    private static let maximumSections = 64

    private func continuedText(_ name: String) -> String? {
        var joined: [UInt8] = []
        var isExtended = false
        for section in 0..<Self.maximumSections {
            let plain = bytes("\(name)*\(section)")
            guard let value = plain ?? bytes("\(name)*\(section)*") else {
                guard section > 0 else { return nil }
                break
            }
            // Only the first section names a character set. Quoted sections are literal: what looks like an escape in one is
            // text.
            if section == 0 { isExtended = plain == nil }
            joined += plain == nil || !isExtended ? value : Self.escaped(value)
        }
        return isExtended ? Self.extendedText(joined) ?? decoded(joined[...]) : decoded(joined[...])
    }

    private static func escaped(_ bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { $0 == UInt8(ascii: "%") ? Array("%25".utf8) : [$0] }
    }

    /// The text of `charset'language'percent-encoded`; nil if that isn't its form or the character set is another than UTF-8,
    /// ASCII and Latin-1.
    private static func extendedText(_ value: [UInt8]) -> String? {
        let parts = value.split(separator: UInt8(ascii: "'"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let bytes = PercentEncoding.decode(parts[2]) else { return nil }
        switch decoded(parts[0]).lowercased() {
        case "utf-8", "us-ascii": return String(validating: bytes, as: UTF8.self)
        case "iso-8859-1":
            return String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        default: return nil
        }
    }

    // MARK: Parsing

    /// The parameters in their order, up to one whose quotation has no end.
    private static func parameters(in bytes: ArraySlice<UInt8>) -> [(name: String, value: [UInt8])] {
        var parameters: [(name: String, value: [UInt8])] = []
        var rest = bytes.drop { $0 != semicolon }
        while !rest.isEmpty {
            rest = rest.dropFirst()
            let name = rest.prefix { $0 != equalsSign && $0 != semicolon }
            rest = rest[name.endIndex...]
            guard rest.first == equalsSign else { continue }
            rest = rest.dropFirst().drop(while: isBlank)
            var value: [UInt8]
            if rest.first == quotationMark {
                guard let quotation = quotation(rest.dropFirst()) else { break }
                (value, rest) = quotation
            } else {
                let token = rest.prefix { $0 != semicolon }
                value = Array(token.trimmingBlanks)
                rest = rest[token.endIndex...]
            }
            parameters.append((decoded(name.trimmingBlanks), value))
            rest = rest.drop { $0 != semicolon }
        }
        return parameters
    }

    /// The content of a quotation, and what follows it; nil if the quotation has no end.
    ///
    /// A backslash escapes a quotation mark or another backslash, as in Python's and Java's clients. Before any other character
    /// it stands for itself: some clients send Windows paths unescaped. Browsers write a quotation mark as %22, which isn't
    /// decoded, since they don't escape %.
    private static func quotation(_ bytes: ArraySlice<UInt8>) -> (value: [UInt8], rest: ArraySlice<UInt8>)? {
        var value: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            if byte == quotationMark { return (value, rest) }
            let isEscape = byte == backslash && (rest.first == quotationMark || rest.first == backslash)
            value.append(isEscape ? rest.removeFirst() : byte)
        }
        return nil
    }
}

private func decoded(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

extension ArraySlice<UInt8> {
    /// What is between the spaces and tabs at its ends.
    var trimmingBlanks: ArraySlice<UInt8> {
        let start = drop(while: isBlank)
        guard let last = start.lastIndex(where: { !isBlank($0) }) else { return start }
        return start[...last]
    }
}
