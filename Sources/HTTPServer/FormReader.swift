import CMicroHTTPD
import UntrustedText

private let lineFeed = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")
private let semicolon = UInt8(ascii: ";")
private let equalsSign = UInt8(ascii: "=")
private let quotationMark = UInt8(ascii: "\"")

/// Takes a form's body apart (RFC 7578; RFC 2046, 5.1), passing over it once.
///
/// Not by libmicrohttpd's post processor: that moves its buffer at every header line and at every hyphen before the first
/// boundary, so that a body made of them costs kilobytes a byte; it needs the connection to stay as it is meanwhile; and it
/// gives a part that follows a nested one the name of that.
struct FormReader {
    private let body: [UInt8]
    private let limits: FormLimits
    private var parts: [FormPart] = []

    private init(_ body: [UInt8], limits: FormLimits) {
        self.body = body
        self.limits = limits
    }

    /// The parts of a form, at least one.
    ///
    /// - Throws: ``FormError`` for a form that is malformed, cut off or above its limits.
    static func parts(
        of body: [UInt8], boundary: FormBoundary, limits: FormLimits
    ) throws(FormError) -> [FormPart] {
        var reader = FormReader(body, limits: limits)
        try reader.read(0..<body.count, boundary: boundary, envelope: nil)
        return reader.parts
    }

    /// Reads parts between boundaries, at least one.
    ///
    /// - Parameter envelope: the head of the part whose content they are; nil for the form's own parts.
    private mutating func read(
        _ range: Range<Int>, boundary: FormBoundary, envelope: PartHead?
    ) throws(FormError) {
        let delimiter = Array("--".utf8) + boundary.bytes
        let partsBefore = parts.count
        guard var position = firstLine(beginningWith: delimiter, in: range).map({ $0 + delimiter.count }) else {
            throw .noPart
        }
        while !body[position..<range.upperBound].starts(with: "--".utf8) {
            position = try lineEnd(at: position, in: range)
            let (head, start) = try head(at: position, in: range)
            guard let end = find([carriageReturn, lineFeed] + delimiter, in: start..<range.upperBound) else {
                throw .cutOff(after: parts.count)
            }
            if let inner = head.boundary, envelope == nil {
                try read(start..<end, boundary: inner, envelope: head)
            } else {
                try append(head, content: start..<end, envelope: envelope)
            }
            position = end + 2 + delimiter.count
        }
        guard parts.count > partsBefore else { throw .noPart }
        let rest = body[(position + 2)..<range.upperBound]
        guard rest.isEmpty || rest.elementsEqual("\r\n".utf8) || rest.elementsEqual("\n".utf8) else {
            throw .malformed("bytes follow the final boundary", after: parts.count)
        }
    }

    private mutating func append(_ head: PartHead, content: Range<Int>, envelope: PartHead?) throws(FormError) {
        let number = parts.count + 1
        guard number <= limits.maximumParts else {
            throw FormError(status: 413, description: "the form has more than \(limits.maximumParts) parts")
        }
        guard let name = envelope?.name ?? head.name else {
            throw FormError(
                status: 400, description: "part \(number) of the form has no name in its Content-Disposition")
        }
        guard content.count <= limits.maximumPartBytes else {
            throw FormError(
                status: 413, description: "part \(number) of the form is larger than \(limits.maximumPartBytes) bytes")
        }
        parts.append(
            FormPart(name: name, fileName: head.fileName, contentType: head.contentType, bytes: Array(body[content])))
    }

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
    private func head(at start: Int, in range: Range<Int>) throws(FormError) -> (head: PartHead, end: Int) {
        let limit = start + min(range.upperBound - start, max(0, limits.maximumHeaderBytes))
        var head = PartHead()
        var position = start
        while true {
            guard let newline = body[position..<limit].firstIndex(of: lineFeed) else {
                guard limit < range.upperBound else { throw .cutOff(after: parts.count) }
                throw FormError(
                    status: 413,
                    description: "the header lines of part \(parts.count + 1) of the form are larger than "
                        + "\(limits.maximumHeaderBytes) bytes")
            }
            var line = body[position..<newline]
            position = newline + 1
            if line.last == carriageReturn { line = line.dropLast() }
            if line.isEmpty { break }
            try note(line, in: &head)
        }
        guard head.isStreamSafe else {
            throw FormError(
                status: 400,
                description: "part \(parts.count + 1) of the form has over 30 combining characters in a row in its "
                    + "headers")
        }
        return (head, position)
    }

    /// Takes from a header line what matters; the first of a name counts.
    private func note(_ line: ArraySlice<UInt8>, in head: inout PartHead) throws(FormError) {
        guard line.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else {
            throw .malformed("a header line holds a control character", after: parts.count)
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
        let name = text(line[..<colon])
        let value = ParameterizedValue(line[(colon + 1)...])
        if head.name == nil, HTTPHeaders.equal(name, "Content-Disposition") {
            head.name = value.parameter("name").map(text)
            head.fileName = value.parameter("filename").map(text)
        } else if head.contentType == nil, HTTPHeaders.equal(name, "Content-Type") {
            head.contentType = text(value.bytes)
            guard value.hasType("multipart/mixed") else { return }
            head.boundary = try FormBoundary(value, of: "part \(parts.count + 1) of the form")
        }
    }

    // MARK: Lines

    /// Where the first line that begins so does.
    private func firstLine(beginningWith pattern: [UInt8], in range: Range<Int>) -> Int? {
        guard !body[range].starts(with: pattern) else { return range.lowerBound }
        return find([lineFeed] + pattern, in: range).map { $0 + 1 }
    }

    /// What follows the line end that must be there, behind blanks if there are such (RFC 2046's transport padding).
    private func lineEnd(at position: Int, in range: Range<Int>) throws(FormError) -> Int {
        let rest = body[position..<range.upperBound].drop { $0 == 0x20 || $0 == 0x09 }
        if rest.first == lineFeed { return rest.startIndex + 1 }
        if rest.starts(with: [carriageReturn, lineFeed]) { return rest.startIndex + 2 }
        guard rest.count > 1 else { throw .cutOff(after: parts.count) }
        throw .malformed("a boundary is not followed by a line end", after: parts.count)
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
struct FormBoundary: Equatable {
    let bytes: [UInt8]

    /// The boundary of a form with that Content-Type.
    ///
    /// - Throws: ``FormError``: 415 if that isn't a form's, 400 if the boundary is missing or malformed.
    init(contentType: String?) throws(FormError) {
        let value = ParameterizedValue(Array((contentType ?? "").utf8)[...])
        guard value.hasType("multipart/form-data") else {
            throw FormError(status: 415, description: "the body is not multipart/form-data")
        }
        try self.init(value, of: "the form")
    }

    /// The boundary that a Content-Type names.
    fileprivate init(_ contentType: ParameterizedValue, of place: String) throws(FormError) {
        guard let boundary = contentType.parameter("boundary") else {
            throw FormError(status: 400, description: "\(place) has no boundary parameter in its Content-Type")
        }
        guard (1...70).contains(boundary.count) else {
            throw FormError(
                status: 400,
                description: "the boundary of \(place) has \(boundary.count) characters; it may have 1 to 70 (RFC 2046)"
            )
        }
        guard boundary.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            throw FormError(
                status: 400, description: "the boundary of \(place) holds a character that is not printable ASCII")
        }
        bytes = Array(boundary)
    }
}

/// A header field's value with parameters, such as `form-data; name="image"`. Bytes, not characters: to Swift a = with an
/// accent behind it is another character.
private struct ParameterizedValue {
    /// All of it, without the white space around it.
    let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes.trimmingBlanks }

    /// Whether that is what stands before the parameters.
    func hasType(_ type: String) -> Bool {
        HTTPHeaders.equal(text(bytes.prefix { $0 != semicolon }.trimmingBlanks), type)
    }

    /// The first parameter of that name; nil if there is none or a quotation has no end. In a quotation a backslash stands
    /// for itself: browsers write a quotation mark as %22, and some send paths of Windows as they are.
    func parameter(_ name: String) -> ArraySlice<UInt8>? {
        var rest = bytes.drop { $0 != semicolon }
        while !rest.isEmpty {
            rest = rest.dropFirst()
            let key = rest.prefix { $0 != equalsSign && $0 != semicolon }
            rest = rest[key.endIndex...]
            guard rest.first == equalsSign else { continue }
            rest = rest.dropFirst()
            let isQuoted = rest.first == quotationMark
            if isQuoted { rest = rest.dropFirst() }
            let value = rest.prefix { $0 != (isQuoted ? quotationMark : semicolon) }
            rest = rest[value.endIndex...]
            guard !isQuoted || rest.first == quotationMark else { return nil }
            rest = rest.drop { $0 != semicolon }
            guard HTTPHeaders.equal(text(key.trimmingBlanks), name) else { continue }
            return isQuoted ? value : value.trimmingBlanks
        }
        return nil
    }
}

private func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

extension ArraySlice<UInt8> {
    fileprivate var trimmingBlanks: ArraySlice<UInt8> {
        let start = drop { $0 == 0x20 || $0 == 0x09 }
        guard let last = start.lastIndex(where: { $0 != 0x20 && $0 != 0x09 }) else { return start }
        return start[...last]
    }
}

extension FormError {
    fileprivate static let noPart = FormError(
        status: 400, description: "the form has no part: the boundary does not occur in the body")

    fileprivate static func cutOff(after parts: Int) -> FormError {
        FormError(status: 400, description: "the form ends before its final boundary, after \(parts) parts")
    }

    fileprivate static func malformed(_ fault: String, after parts: Int) -> FormError {
        FormError(status: 400, description: "the form is malformed after \(parts) parts: \(fault)")
    }
}
