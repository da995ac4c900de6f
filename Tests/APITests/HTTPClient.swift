import Foundation
import Testing

/// What a server answered.
struct HTTPAnswer: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: [UInt8]

    subscript(name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The body as a JSON object.
    func json() throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(body))
        guard let object = value as? [String: Any] else { throw Failure.notAnObject(text) }
        return object
    }

    /// The `code` of a problem document.
    var code: String? { try? json()["code"] as? String }

    enum Failure: Error { case connect(Int32), malformed(String), notAnObject(String) }
}

/// One request over a connection of its own.
struct HTTPClient: Sendable {
    let port: Int

    func get(_ target: String, headers: [String: String] = [:]) async throws -> HTTPAnswer {
        try await send("GET", target, headers: headers, body: nil)
    }

    func post(_ target: String, _ body: [UInt8], headers: [String: String] = [:]) async throws -> HTTPAnswer {
        try await send("POST", target, headers: headers, body: body)
    }

    func postJSON(_ target: String, _ text: String, headers: [String: String] = [:]) async throws -> HTTPAnswer {
        try await post(target, Array(text.utf8), headers: headers.merging(["Content-Type": "application/json"]) { $1 })
    }

    /// Sends a request, on a thread of its own since its calls block, and reads the answer to the connection's end.
    func send(
        _ method: String, _ target: String, headers: [String: String] = [:], body: [UInt8]?
    ) async throws -> HTTPAnswer {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body, headers["Content-Length"] == nil { head += "Content-Length: \(body.count)\r\n" }
        let bytes = Array((head + "\r\n").utf8) + (body ?? [])
        let port = port
        let answer = try await withCheckedThrowingContinuation { continuation in
            Thread { continuation.resume(with: Result { try Self.exchange(bytes, port: port) }) }.start()
        }
        // Whatever a test provokes, strangers learn nothing from it that they need not know.
        let disclosed = Disclosure.found(in: answer, request: bytes)
        #expect(disclosed.isEmpty, "\(disclosed) in \(answer.text)")
        return answer
    }

    /// A connected socket, for tests that leave in the middle.
    static func connect(port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        // Far longer than any answer takes: tests that compute hold the few threads that handlers run on.
        var timeout = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            close(descriptor)
            throw HTTPAnswer.Failure.connect(errno)
        }
        return descriptor
    }

    /// Sends everything that the other side takes.
    static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    private static func exchange(_ bytes: [UInt8], port: Int) throws -> HTTPAnswer {
        let descriptor = try connect(port: port)
        defer { close(descriptor) }
        write(bytes, to: descriptor)
        var received: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(descriptor, &piece, piece.count, 0)
            guard count > 0 else { break }
            received += piece[..<count]
        }
        return try parse(received)
    }

    private static func parse(_ received: [UInt8]) throws -> HTTPAnswer {
        guard let end = received.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw HTTPAnswer.Failure.malformed(String(decoding: received, as: UTF8.self))
        }
        let lines = String(decoding: received[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let parts = lines[0].split(separator: " ")
        guard parts.count >= 2, let status = Int(parts[1]) else { throw HTTPAnswer.Failure.malformed(lines[0]) }
        let headers = lines.dropFirst().map { line in
            let field = line.split(separator: ":", maxSplits: 1)
            return (name: String(field[0]), value: field[1].trimmingCharacters(in: .whitespaces))
        }
        return HTTPAnswer(status: status, headers: headers, body: Array(received[end.upperBound...]))
    }
}

/// A `multipart/form-data` body and its Content-Type.
struct Form {
    private(set) var bytes: [UInt8] = []
    private static let boundary = "----headwater-test"

    static let contentType = "multipart/form-data; boundary=\(boundary)"

    func file(_ name: String, _ content: [UInt8], fileName: String = "a") -> Form {
        part("Content-Disposition: form-data; name=\"\(name)\"; filename=\"\(fileName)\"", content)
    }

    func field(_ name: String, _ text: String) -> Form {
        part("Content-Disposition: form-data; name=\"\(name)\"", Array(text.utf8))
    }

    var body: [UInt8] { bytes + Array("--\(Self.boundary)--\r\n".utf8) }

    private func part(_ header: String, _ content: [UInt8]) -> Form {
        var form = self
        form.bytes += Array("--\(Self.boundary)\r\n\(header)\r\n\r\n".utf8) + content + Array("\r\n".utf8)
        return form
    }
}
