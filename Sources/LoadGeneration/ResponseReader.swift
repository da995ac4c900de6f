/// Reads one HTTP/1.1 response as its bytes arrive. What the server sends is not trusted: its head may take 64 KiB and
/// its body must say its length, which may be 1 GiB; the body itself is counted and dropped.
struct ResponseReader: Sendable {
    /// Why bytes are no response.
    struct Malformed: Error, Equatable, Sendable {
        let reason: String
    }

    /// A response's head, as far as it matters here.
    struct Head: Equatable, Sendable {
        var status = 0
        var contentLength = 0
        var closes = false
        var timings: ServerTiming?
    }

    private static let longestHead = 64 << 10
    private static let longestBody = 1 << 30

    private var headBytes: [UInt8] = []
    private var searched = 0
    private var head: Head?
    private var missing = 0

    /// Takes the next bytes.
    ///
    /// - Returns: the head once all of the response has come.
    /// - Throws: `Malformed`, also if there are bytes beyond the response's end.
    mutating func append(_ bytes: UnsafeRawBufferPointer) throws(Malformed) -> Head? {
        var rest = bytes.count
        if head == nil {
            headBytes += bytes
            guard let head = try completeHead() else { return nil }
            self.head = head
            missing = head.contentLength
            rest = headBytes.count
            headBytes = []
        }
        guard rest <= missing else { throw Malformed(reason: "bytes follow the end of the response") }
        missing -= rest
        return missing == 0 ? head : nil
    }

    /// The head, taken off `headBytes`, once it is complete. Interim responses (100 to 199) precede the one that is meant.
    private mutating func completeHead() throws(Malformed) -> Head? {
        while let end = try headEnd() {
            let head = try Self.parse(headBytes[..<end])
            headBytes.removeSubrange(..<end)
            searched = 0
            if !(100..<200).contains(head.status) { return head }
        }
        return nil
    }

    /// Where the head ends, its empty line included. Searched for by hand, each byte once: the collections' own search
    /// takes longer than all the rest that a request costs here.
    private mutating func headEnd() throws(Malformed) -> Int? {
        let newline = UInt8(ascii: "\n")
        var end: Int?
        var index = max(3, searched)
        while index < headBytes.count, end == nil {
            if headBytes[index] == newline, headBytes[index - 2] == newline, headBytes[index - 1] == UInt8(ascii: "\r"),
                headBytes[index - 3] == UInt8(ascii: "\r")
            {
                end = index + 1
            }
            index += 1
        }
        guard (end ?? headBytes.count) <= Self.longestHead else {
            throw Malformed(reason: "the response's head is longer than \(Self.longestHead) bytes")
        }
        searched = index
        return end
    }

    private static func parse(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> Head {
        var lines = bytes.split(separator: UInt8(ascii: "\n")).map(\.trimmed).filter { !$0.isEmpty }[...]
        var head = Head()
        head.status = try status(of: lines.popFirst() ?? [])
        var length: Int?
        for line in lines {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
                throw Malformed(reason: "a header line has no colon")
            }
            let value = String(decoding: line[(colon + 1)...].trimmed, as: UTF8.self)
            switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
            case "content-length":
                guard length == nil, let bytes = Int(value), (0...longestBody).contains(bytes) else {
                    throw Malformed(reason: "the response's Content-Length is no length up to \(longestBody)")
                }
                length = bytes
            case "transfer-encoding":
                throw Malformed(reason: "the response has a Transfer-Encoding, which is not read here")
            case "connection": head.closes = value.lowercased() == "close"
            case "server-timing": head.timings = ServerTiming(value)
            default: break
            }
        }
        if (100..<200).contains(head.status) || head.status == 204 { length = length ?? 0 }
        guard let length else { throw Malformed(reason: "the response doesn't say its length") }
        head.contentLength = length
        return head
    }

    private static func status(of line: ArraySlice<UInt8>) throws(Malformed) -> Int {
        let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
        guard parts.count >= 2, parts[0].elementsEqual("HTTP/1.1".utf8), parts[1].count == 3,
            let status = Int(String(decoding: parts[1], as: UTF8.self)), (100...599).contains(status)
        else { throw Malformed(reason: "the response doesn't begin with an HTTP/1.1 status line") }
        return status
    }
}

/// The durations of a `Server-Timing` header (W3C Server Timing), in milliseconds by name.
struct ServerTiming: Sendable, Equatable {
    /// Milliseconds by metric name; metrics without a duration are left out, as is what can't be read.
    let milliseconds: [String: Double]

    /// Reads a header's value, such as `queue;dur=1.5, decode;dur=0.2;desc="JPEG"`.
    init(_ value: String) {
        var milliseconds: [String: Double] = [:]
        for metric in Array(value.utf8).split(separator: UInt8(ascii: ",")) {
            let parts = metric.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map(\.trimmed)
            guard let name = parts.first, !name.isEmpty else { continue }
            for parameter in parts.dropFirst() {
                let text = String(decoding: parameter, as: UTF8.self).lowercased()
                guard text.hasPrefix("dur="), let duration = Double(text.dropFirst(4)), duration.isFinite,
                    duration >= 0
                else { continue }
                milliseconds[String(decoding: name, as: UTF8.self)] = duration
            }
        }
        self.milliseconds = milliseconds
    }
}

extension ArraySlice<UInt8> {
    /// Without white space at its ends.
    fileprivate var trimmed: ArraySlice<UInt8> {
        var slice = self
        while let first = slice.first, first == 0x20 || first == 0x09 || first == 0x0D { slice.removeFirst() }
        while let last = slice.last, last == 0x20 || last == 0x09 || last == 0x0D { slice.removeLast() }
        return slice
    }
}
