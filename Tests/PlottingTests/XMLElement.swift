import Testing

/// An element of an XML document, read by a strict reader of as much XML as the plots use: one root, tags that nest,
/// attributes in double quotes, no comments, the five entities that need no declaration and decimal references.
///
/// Foundation's parser was rejected, since it wants a library that the toolchain doesn't bring along.
struct XMLElement {
    struct Malformed: Error {
        let reason: String
    }

    let name: String
    let attributes: [String: String]
    /// Its own, without that of elements inside.
    private(set) var text = ""

    /// The elements in the order of their start tags.
    static func all(of document: String) throws -> [XMLElement] {
        var rest = Substring(document)
        let declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        guard rest.hasPrefix(declaration) else { throw Malformed(reason: "no declaration") }
        rest = rest.dropFirst(declaration.count)
        var (elements, open): ([XMLElement], [Int]) = ([], [])
        while !rest.isEmpty {
            let text = try unescaped(rest.prefix { $0 != "<" })
            rest = rest.drop { $0 != "<" }
            if let inner = open.last {
                elements[inner].text += text
            } else if text.contains(where: { !$0.isWhitespace }) || elements.isEmpty != !rest.isEmpty {
                throw Malformed(reason: "text or a second root outside the root: \(text)\(rest.prefix(40))")
            }
            guard !rest.isEmpty else { break }
            guard let end = rest.firstIndex(of: ">") else { throw Malformed(reason: "a tag that doesn't end") }
            let tag = rest[..<end].dropFirst()
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("/") {
                guard let last = open.popLast(), elements[last].name == tag.dropFirst() else {
                    throw Malformed(reason: "</\(tag.dropFirst())> closes something else")
                }
            } else {
                if !tag.hasSuffix("/") { open.append(elements.count) }
                elements.append(try XMLElement(tag: tag.hasSuffix("/") ? tag.dropLast() : tag))
            }
        }
        guard open.isEmpty, !elements.isEmpty else { throw Malformed(reason: "an element is left open") }
        return elements
    }

    private init(tag: Substring) throws {
        name = String(tag.prefix { $0.isLetter })
        guard !name.isEmpty else { throw Malformed(reason: "a tag without a name: \(tag)") }
        var (rest, attributes): (Substring, [String: String]) = (tag.dropFirst(name.count), [:])
        while !rest.isEmpty {
            guard let match = rest.prefixMatch(of: /\s+([A-Za-z][-A-Za-z0-9]*)="([^"<]*)"/) else {
                throw Malformed(reason: "a malformed attribute: \(rest)")
            }
            guard attributes.updateValue(try Self.unescaped(match.2), forKey: String(match.1)) == nil else {
                throw Malformed(reason: "an attribute twice: \(match.1)")
            }
            rest = rest[match.range.upperBound...]
        }
        self.attributes = attributes
    }

    private static func unescaped(_ text: Substring) throws -> String {
        let isForbidden = { (scalar: Unicode.Scalar) in
            scalar.value < 0x20 && scalar != "\n" && scalar != "\t" || scalar.value & 0xFFFE == 0xFFFE
        }
        guard !text.unicodeScalars.contains(where: isForbidden) else {
            throw Malformed(reason: "a forbidden character")
        }
        let parts = text.split(separator: "&", omittingEmptySubsequences: false)
        return try parts.dropFirst().reduce(String(parts[0])) { result, part in
            guard let match = part.prefixMatch(of: /(amp|lt|gt|quot|apos|#39);/) else {
                throw Malformed(reason: "an unknown entity: &\(part.prefix(12))")
            }
            let meanings: [Substring: String] = [
                "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "#39": "'",
            ]
            return result + meanings[match.1]! + part[match.range.upperBound...]
        }
    }
}

@Suite("The tests' XML reader")
struct XMLElementTests {
    @Test(
        "refuses what is not well-formed",
        arguments: [
            "", "a", "<a>", "<a></b>", "<a/><b/>", "<a x=1/>", "<a x=\"1\" x=\"2\"/>", "<a>&b;</a>", "<a>\u{1}</a>",
            "<a",
            "<a/>b", "<a x=\"<\"/>", "<>",
        ])
    func refuses(body: String) {
        #expect(throws: XMLElement.Malformed.self) {
            try XMLElement.all(of: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + body)
        }
    }
}
