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
        guard rest <= missing else { throw Malformed(reason: "there are bytes behind the response's end") }
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

    private mutating func headEnd() throws(Malformed) -> Int? {
        let start = max(0, searched - 3)
        let found = headBytes[start...].firstRange(of: Array("\r\n\r\n".utf8))
        guard (found?.upperBound ?? headBytes.count) <= Self.longestHead else {
            throw Malformed(reason: "the response's head is longer than \(Self.longestHead) bytes")
        }
        searched = headBytes.count
        return found?.upperBound
    }

    private static func parse(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> Head {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Malformed(reason: "the response's head is not UTF-8")
        }
        var lines = text.split(separator: "\r\n")
        var head = Head()
        head.status = try status(of: lines.isEmpty ? "" : lines.removeFirst())
        var length: Int?
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else {
                throw Malformed(reason: "a header line has no colon")
            }
            let value = line[line.index(after: colon)...].trimmed
            switch line[..<colon].lowercased() {
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

    private static func status(of line: Substring) throws(Malformed) -> Int {
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0] == "HTTP/1.1", parts[1].utf8.count == 3, let status = Int(parts[1]),
            (100...599).contains(status)
        else { throw Malformed(reason: "the response doesn't begin with an HTTP/1.1 status line") }
        return status
    }
}

/// The durations of a `Server-Timing` header (W3C Server Timing), in milliseconds by name.
public struct ServerTiming: Sendable, Equatable {
    /// Milliseconds by metric name; metrics without a duration are left out, as is what can't be read.
    public let milliseconds: [String: Double]

    /// Reads a header's value, such as `queue;dur=1.5, decode;dur=0.2;desc="JPEG"`.
    public init(_ value: some StringProtocol) {
        var milliseconds: [String: Double] = [:]
        for metric in value.split(separator: ",") {
            let parts = metric.split(separator: ";").map(\.trimmed)
            guard let name = parts.first, !name.isEmpty else { continue }
            for parameter in parts.dropFirst() where parameter.lowercased().hasPrefix("dur=") {
                guard let duration = Double(parameter.dropFirst(4)), duration.isFinite, duration >= 0 else { continue }
                milliseconds[String(name)] = duration
            }
        }
        self.milliseconds = milliseconds
    }
}

extension StringProtocol {
    /// Without spaces and tabs at its ends.
    fileprivate var trimmed: String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        return String(drop(while: isBlank).reversed().drop(while: isBlank).reversed())
    }
}
