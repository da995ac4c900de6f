import CMicroHTTPD
import UntrustedText

private let lineFeed = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")

/// Takes a form's body apart (RFC 7578; RFC 2046, 5.1), passing over it once.
///
/// libmicrohttpd's post processor was rejected. It moves its buffer at every header line and at every hyphen before the first
/// boundary, so that a body made of these copies kilobytes for each byte. It needs the connection meanwhile. And it gives a
/// part that follows a nested one the name of the nested one.
///
/// A delimiter is a whole line: two hyphens and the boundary, two more hyphens if it is the final one, then blanks and the
/// line's end or the body's. A line that only begins like that is content: one boundary may begin with another. Every
/// line may end with a bare line feed. What precedes the first delimiter and what follows the final one is ignored.
package struct FormReader {
    private let body: [UInt8]
    private let limits: FormLimits
    private var parts: [FormPart] = []

    private init(_ body: [UInt8], limits: FormLimits) {
        self.body = body
        self.limits = limits
    }

    /// The parts of a form, at least one. Those of a nested `multipart/mixed` part are given one by one under its name.
    ///
    /// The time is proportional to the body's length, whatever its content. Large forms belong on a worker.
    ///
    /// - Throws: ``FormError`` for a form that is malformed, cut off or above its limits, and for a part without a name or in
    ///   a transfer encoding.
    package static func parts(
        of body: [UInt8], boundary: FormBoundary, limits: FormLimits = FormLimits()
    ) throws(FormError) -> [FormPart] {
        var reader = FormReader(body, limits: limits)
        try reader.read(0..<body.count, boundary: boundary, envelope: nil)
        return reader.parts
    }

    /// Reads parts between delimiters, at least one.
    ///
    /// - Parameter envelope: the head of the part whose content they are; nil for the form's own parts.
    private mutating func read(_ range: Range<Int>, boundary: FormBoundary, envelope: PartHead?) throws(FormError) {
        let partsBefore = parts.count
        guard let first = delimiter(boundary, from: range.lowerBound, in: range) else { throw .noBoundary }
        var opening = first
        while !opening.isFinal {
            let (head, start) = try head(at: opening.end, boundary, in: range)
            guard let closing = delimiter(boundary, from: start, in: range) else { throw .cutOff(after: parts.count) }
            // The line end before a delimiter belongs to it. Where the first one ends with a bare line feed all do, and a
            // carriage return before another is content.
            var end = max(start, closing.start - 1)
            if !first.endsWithBareLineFeed, end > start, body[end - 1] == carriageReturn { end -= 1 }
            if let inner = head.boundary, envelope == nil {
                try read(start..<end, boundary: inner, envelope: head)
            } else {
                try append(head, content: start..<end, envelope: envelope)
            }
            opening = closing
        }
        guard parts.count > partsBefore else { throw .noPart }
        try requireNoPart(after: opening, boundary, in: range)
    }

    /// An epilogue is ignored, but parts in it would be lost, as of two forms in one body.
    private func requireNoPart(
        after final: Delimiter, _ boundary: FormBoundary, in range: Range<Int>
    ) throws(FormError) {
        var last = final
        while let next = delimiter(boundary, from: last.end, in: range) {
            guard next.isFinal else { throw .malformed("a part follows the final boundary", after: parts.count) }
            last = next
        }
    }

    private mutating func append(_ head: PartHead, content: Range<Int>, envelope: PartHead?) throws(FormError) {
        let number = parts.count + 1
        guard number <= limits.maximumParts else {
            throw FormError(413, "the form has more than \(limits.maximumParts) parts")
        }
        guard let name = envelope?.name ?? head.name else {
            throw FormError(400, "part \(number) of the form has no name in its Content-Disposition")
        }
        guard content.count <= limits.maximumPartBytes else {
            throw FormError(413, "part \(number) of the form is larger than \(limits.maximumPartBytes) bytes")
        }
        parts.append(
            FormPart(name: name, fileName: head.fileName, contentType: head.contentType, bytes: Array(body[content])))
    }

    // MARK: Heads

    /// What a part's header lines say.
    private struct PartHead {
        var name: String?
        var fileName: String?
        var contentType: String?
        /// What delimits the parts in it, if it is `multipart/mixed`.
        var boundary: FormBoundary?

        var isStreamSafe: Bool { [name, fileName, contentType].allSatisfy { $0?.isStreamSafe ?? true } }
    }

    /// Reads header lines up to the empty one.
    ///
    /// - Returns: what they say, and where the content begins.
    private func head(
        at start: Int, _ boundary: FormBoundary, in range: Range<Int>
    ) throws(FormError) -> (head: PartHead, end: Int) {
        let limit = start + min(range.upperBound - start, max(0, limits.maximumHeaderBytes))
        var head = PartHead()
        var field: ArraySlice<UInt8> = []
        var position = start
        while true {
            guard delimiter(boundary, at: position, in: range) == nil else {
                throw .malformed("no empty line ends the header lines of the next part", after: parts.count)
            }
            guard let newline = body[position..<limit].firstIndex(of: lineFeed) else {
                guard limit < range.upperBound else { throw .cutOff(after: parts.count) }
                throw FormError(
                    413,
                    "the header lines of part \(parts.count + 1) of the form are larger than "
                        + "\(limits.maximumHeaderBytes) bytes")
            }
            var line = body[position..<newline]
            position = newline + 1
            if line.last == carriageReturn { line = line.dropLast() }
            if let first = line.first, isBlank(first) {
                // A folded line continues the one before it (RFC 5322, 2.2.3).
                field.append(UInt8(ascii: " "))
                field += line.trimmingBlanks
                continue
            }
            try note(field, in: &head)
            if line.isEmpty { break }
            field = line
        }
        guard head.isStreamSafe else {
            throw FormError(
                400,
                "part \(parts.count + 1) of the form has over 30 combining characters in a row in its headers")
        }
        return (head, position)
    }

    /// Reads a header field, if it matters. The first field of a name counts.
    private func note(_ field: ArraySlice<UInt8>, in head: inout PartHead) throws(FormError) {
        guard field.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else {
            throw .malformed("a header line contains a control character", after: parts.count)
        }
        guard let colon = field.firstIndex(of: UInt8(ascii: ":")) else { return }
        let name = text(field[..<colon].trimmingBlanks)
        let value = ParameterizedValue(field[(colon + 1)...])
        if head.name == nil, HTTPHeaders.equal(name, "Content-Disposition") {
            head.name = value.text("name")
            head.fileName = value.text("filename")
        } else if head.contentType == nil, HTTPHeaders.equal(name, "Content-Type") {
            head.contentType = text(value.bytes)
            guard value.hasType("multipart/mixed") else { return }
            head.boundary = try FormBoundary(value, of: "part \(parts.count + 1) of the form")
        } else if HTTPHeaders.equal(name, "Content-Transfer-Encoding") {
            // RFC 7578, 4.7, forbids encodings of parts. The error names the encoding; a decoder would only find no image.
            guard ["", "7bit", "8bit", "binary"].contains(where: { HTTPHeaders.equal(text(value.bytes), $0) }) else {
                throw FormError(
                    415,
                    "part \(parts.count + 1) of the form has a Content-Transfer-Encoding; send its bytes "
                        + "as they are, without one")
            }
        }
    }

    // MARK: Delimiters

    /// A line between parts.
    private struct Delimiter {
        let start: Int
        /// Where the next line begins.
        let end: Int
        let isFinal: Bool
        let endsWithBareLineFeed: Bool
    }

    /// The first delimiter among the lines from the one that begins at `position`.
    private func delimiter(_ boundary: FormBoundary, from position: Int, in range: Range<Int>) -> Delimiter? {
        var candidate: Int? = position
        while let start = candidate {
            if let delimiter = delimiter(boundary, at: start, in: range) { return delimiter }
            candidate = find(boundary.lineStart, in: start..<range.upperBound).map { $0 + 1 }
        }
        return nil
    }

    /// The delimiter in the line that begins at `start`; nil if the line is none.
    private func delimiter(_ boundary: FormBoundary, at start: Int, in range: Range<Int>) -> Delimiter? {
        let line = body[start..<range.upperBound]
        let pattern = boundary.lineStart.dropFirst()
        guard line.starts(with: pattern) else { return nil }
        var rest = line.dropFirst(pattern.count)
        let isFinal = rest.starts(with: "--".utf8)
        if isFinal { rest = rest.dropFirst(2) }
        rest = rest.drop(while: isBlank)
        let hasCarriageReturn = rest.first == carriageReturn
        if hasCarriageReturn { rest = rest.dropFirst() }
        guard rest.isEmpty || rest.first == lineFeed else { return nil }
        return Delimiter(
            start: start, end: min(rest.startIndex + 1, range.upperBound), isFinal: isFinal,
            endsWithBareLineFeed: !hasCarriageReturn && !rest.isEmpty)
    }

    private func find(_ pattern: [UInt8], in range: Range<Int>) -> Int? {
        body.withUnsafeBytes { body in
            let searched = UnsafeRawBufferPointer(rebasing: body[range])
            let offset = CLinuxFind(searched.baseAddress, searched.count, pattern, pattern.count)
            return offset < 0 ? nil : range.lowerBound + offset
        }
    }
}

/// What delimits the parts of a form.
package struct FormBoundary: Sendable, Equatable {
    let bytes: [UInt8]
    /// What every delimiter begins with, including the line feed that ends the line before it.
    fileprivate let lineStart: [UInt8]

    /// The boundary of a form with that Content-Type.
    ///
    /// - Throws: ``FormError``: 415 if that isn't a form's, 400 if the boundary is missing or malformed.
    package init(contentType: String?) throws(FormError) {
        let value = ParameterizedValue(Array((contentType ?? "").utf8)[...])
        guard value.hasType("multipart/form-data") else {
            throw FormError(415, "the body is not multipart/form-data")
        }
        try self.init(value, of: "the form")
    }

    /// The boundary that a Content-Type names.
    fileprivate init(_ contentType: ParameterizedValue, of place: String) throws(FormError) {
        guard let boundary = contentType.bytes("boundary") else {
            throw FormError(
                400, "\(place) has no boundary parameter in its Content-Type; let the HTTP client set this header")
        }
        guard (1...70).contains(boundary.count) else {
            throw FormError(
                400, "the boundary of \(place) has \(boundary.count) characters; it may have 1 to 70 (RFC 2046)")
        }
        guard boundary.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            throw FormError(400, "the boundary of \(place) contains a character that is not printable ASCII")
        }
        bytes = boundary
        lineStart = Array("\n--".utf8) + boundary
    }
}

private func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

extension FormError {
    fileprivate static let noBoundary = FormError(
        400,
        "the form has no part: the boundary of the Content-Type does not occur in the body; let the HTTP "
            + "client set this header")

    fileprivate static let noPart = FormError(400, "the form has no part: its first boundary is already the final one")

    fileprivate static func cutOff(after parts: Int) -> FormError {
        FormError(400, "the form ends before its final boundary, after \(parts) parts")
    }

    fileprivate static func malformed(_ fault: String, after parts: Int) -> FormError {
        FormError(400, "the form is malformed after \(parts) parts: \(fault)")
    }
}
