import Testing

@testable import LoadGeneration

extension ResponseReader {
    /// Reads a text in pieces of `size` bytes.
    fileprivate static func read(_ text: String, pieces size: Int) throws(Malformed) -> Head? {
        var reader = ResponseReader()
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = Array(bytes[start..<min(start + size, bytes.count)])
            do {
                if let head = try piece.withUnsafeBytes({ try reader.append($0) }) {
                    return start + size >= bytes.count ? head : nil
                }
            } catch let error as Malformed {
                throw error
            } catch {}
        }
        return nil
    }
}

@Suite("Responses as the load generator reads them")
struct ResponseReaderTests {
    @Test("A response is complete with its last byte, however it is cut up", arguments: [1, 2, 7, 1000])
    func pieces(size: Int) throws {
        let text =
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\nConnection: close\r\n"
            + "Server-Timing: queue;dur=1.25, decode;desc=\"a\";dur=0.5\r\n\r\nabc\r\n"
        let head = try #require(try ResponseReader.read(text, pieces: size))
        #expect(head.status == 503 && head.contentLength == 5 && head.closes)
        #expect(head.timings?.milliseconds == ["queue": 1.25, "decode": 0.5])
        #expect(try ResponseReader.read(String(text.dropLast()), pieces: size) == nil)
    }

    @Test("Interim responses are passed over", arguments: [1, 1000])
    func interim(size: Int) throws {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        let head = try #require(try ResponseReader.read(text, pieces: size))
        #expect(head.status == 200 && !head.closes && head.timings == nil)
    }

    @Test(
        "What is no response is said to be none",
        arguments: [
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nnothing\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ])
    func malformed(text: String) {
        for size in [1000, text.utf8.count] {
            #expect(throws: ResponseReader.Malformed.self) { try ResponseReader.read(text, pieces: size) }
        }
    }

    @Test("A head without end is given up")
    func endless() {
        let text = "HTTP/1.1 200 " + String(repeating: "x", count: 1 << 17)
        #expect(throws: ResponseReader.Malformed.self) { try ResponseReader.read(text, pieces: 1000) }
    }

    @Test(
        "Metrics without a duration, or with none that can be, are left out",
        arguments: [("", [:]), ("a", [:]), ("a;dur=x, b;dur=-1, c;dur=inf,;dur=1, d;DUR=2", ["d": 2])])
    func timings(text: String, milliseconds: [String: Double]) {
        #expect(ServerTiming(text).milliseconds == milliseconds)
    }
}
