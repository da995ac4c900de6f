import HTTPServer
import Synchronization
import TestBench
import Testing

@Suite("Multipart forms", .timeLimit(.minutes(20)))
struct FormTests {
    /// Posts a body and tells what the handler could read of it.
    private func parse(
        _ body: [UInt8], contentType: String? = "multipart/form-data; boundary=XX", limits: FormLimits = FormLimits(),
        chunked: Bool = false
    ) async throws -> Result<[FormPart], FormError> {
        let parsed = Mutex<Result<[FormPart], FormError>?>(nil)
        let handler: Handler = { request in
            // Whoever polls a service that has ended may knock here, at the port that was its own.
            guard request.head.method == "POST" else { return .text("ok") }
            let result = Result { () throws(FormError) in try request.parts(limits: limits) }
            parsed.withLock { $0 = result }
            return .text("ok")
        }
        try await withServer(handler: handler) { server in
            let port = server.port
            let status = try await offPool {
                let client = try RawClient(port: port)
                let type = contentType.map { "Content-Type: \($0)\r\n" } ?? ""
                if chunked {
                    client.send("POST / HTTP/1.1\r\nHost: h\r\n\(type)Transfer-Encoding: chunked\r\n\r\n")
                    for byte in body { client.send(Array("1\r\n".utf8) + [byte] + Array("\r\n".utf8)) }
                    client.send("0\r\n\r\n")
                } else {
                    client.send("POST / HTTP/1.1\r\nHost: h\r\n\(type)Content-Length: \(body.count)\r\n\r\n")
                    client.send(body)
                }
                return try client.response().status
            }
            #expect(status == 200)
        }
        return try #require(parsed.withLock { $0 })
    }

    private func part(_ name: String, file: String? = nil, type: String? = nil, _ content: [UInt8]) -> [UInt8] {
        let fileName = file.map { "; filename=\"\($0)\"" } ?? ""
        let typeLine = type.map { "Content-Type: \($0)\r\n" } ?? ""
        let head = "--XX\r\nContent-Disposition: form-data; name=\"\(name)\"\(fileName)\r\n\(typeLine)\r\n"
        return Array(head.utf8) + content + Array("\r\n".utf8)
    }

    private let end = Array("--XX--\r\n".utf8)

    @Test(
        "Names, file names, types and contents come out in order, however the bytes arrive", arguments: [false, true])
    func parts(chunked: Bool) async throws {
        let binary = (0..<300).map { UInt8($0 % 256) } + Array("\r\n--X\r\n--".utf8)
        let body =
            part("image", file: "a.jpg", type: "image/jpeg", binary) + part("empty", [])
            + part("empty", Array("x".utf8))
            + part("note", Array("hé".utf8)) + end
        let parts = try await parse(body, chunked: chunked).get()
        #expect(
            parts == [
                FormPart(name: "image", fileName: "a.jpg", contentType: "image/jpeg", bytes: binary),
                FormPart(name: "empty", fileName: nil, contentType: nil, bytes: []),
                FormPart(name: "empty", fileName: nil, contentType: nil, bytes: Array("x".utf8)),
                FormPart(name: "note", fileName: nil, contentType: nil, bytes: Array("hé".utf8)),
            ])
    }

    @Test("A large part is intact, a quoted boundary and a preamble are understood")
    func large() async throws {
        let content = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        let body = Array("preamble\r\n".utf8) + part("image", content) + end
        let parts = try await parse(body, contentType: "multipart/form-data; boundary=\"XX\"").get()
        #expect(parts.map(\.bytes) == [content])
    }

    @Test("Nested multipart/mixed gives its parts under the outer name")
    func nested() async throws {
        let inner =
            "--YY\r\nContent-Disposition: file; filename=\"a\"\r\n\r\none\r\n"
            + "--YY\r\nContent-Disposition: file; filename=\"b\"\r\n\r\ntwo\r\n--YY--"
        let body = part("files", type: "multipart/mixed; boundary=YY", Array(inner.utf8)) + end
        let parts = try await parse(body).get()
        #expect(parts.map(\.name) == ["files", "files"])
        #expect(parts.map(\.fileName) == ["a", "b"])
        #expect(parts.map { String(decoding: $0.bytes, as: UTF8.self) } == ["one", "two"])
    }

    @Test(
        "Malformed forms are clear errors",
        arguments: [
            ("", 400, "no part"),
            ("no boundary at all", 400, "no part"),
            ("--XX--\r\n", 400, "no part"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ncut", 400, "final boundary"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ndata\r\n--XX\r\n", 400, "final boundary"),
            ("--XX\r\nContent-Disposition: form-data; na", 400, "final boundary"),
            ("--XX\r\nContent-Disposition: form-data\r\n\r\ndata\r\n--XX--\r\n", 400, "part 1"),
            ("--XX\r\nContent-Type: multipart/mixed\r\n\r\n--XX--\r\n", 400, "malformed"),
            ("--XX\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n\r\n--XX--\r\n", 400, ""),
            ("--XXjunk", 400, "malformed"),
        ] as [(String, Int, String)])
    func malformed(body: String, status: Int, says: String) async throws {
        let result = try await parse(Array(body.utf8))
        #expect { try result.get() } throws: { error in
            (error as? FormError).map { $0.status == status && (says.isEmpty || $0.description.contains(says)) }
                ?? false
        }
    }

    @Test(
        "Bodies that are no form are refused",
        arguments: [
            ("application/octet-stream", 415), (nil, 415), ("multipart/form-data", 400),
            ("multipart/form-data; boundary=\"", 400),
            // The post processor takes the first boundary, whatever stands behind its =.
            ("multipart/form-data; boundary=\u{301}; boundary=XX", 400),
        ] as [(String?, Int)])
    func noForm(contentType: String?, status: Int) async throws {
        let result = try await parse(part("a", []) + end, contentType: contentType)
        #expect { try result.get() } throws: { ($0 as? FormError)?.status == status }
    }

    @Test("Limits: parts, bytes of a part, bytes of a header line")
    func limits() async throws {
        let many = (0..<5000).flatMap { part("p\($0)", [1]) } + end
        let tooMany = try await parse(many)
        #expect { try tooMany.get() } throws: { ($0 as? FormError)?.status == 413 }
        let all = try await parse(many, limits: FormLimits(maximumParts: 5000))
        #expect(try all.get().count == 5000)
        let tooBig = try await parse(
            part("a", [UInt8](repeating: 1, count: 1001)) + end, limits: FormLimits(maximumPartBytes: 1000))
        #expect { try tooBig.get() } throws: { ($0 as? FormError)?.status == 413 }
        let longHeader = try await parse(part("a", file: String(repeating: "f", count: 100_000), [1]) + end)
        #expect { try longHeader.get() } throws: { ($0 as? FormError)?.status == 400 }
    }

    @Test("Truncated anywhere, a form is an error and never a crash")
    func truncated() async throws {
        let body =
            part("image", file: "a", type: "image/png", Array("\r\n--content".utf8)) + part("b", [])
            + Array("--XX--".utf8)
        let failures = Mutex<[Int: Bool]>([:])
        let handler: Handler = { request in
            let isError = (try? request.parts()) == nil
            failures.withLock { $0[request.bytes.count] = isError }
            return .text("ok")
        }
        try await withServer(handler: handler) { server in
            let port = server.port
            try await offPool {
                let client = try RawClient(port: port)
                for length in 0...body.count {
                    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=XX\r\n")
                    client.send("Content-Length: \(length)\r\n\r\n")
                    client.send(Array(body.prefix(length)))
                    _ = try client.response()
                }
            }
        }
        let succeeded = failures.withLock { $0.filter { !$0.value }.keys.sorted() }
        #expect(succeeded == [body.count])
    }

    @Test("A form can only be read while its request is handled")
    func late() async throws {
        let kept = Mutex<Request?>(nil)
        try await withServer(handler: { request in
            kept.withLock { $0 = request }
            return .text("ok")
        }) { server in
            let port = server.port
            let body = part("a", [1]) + end
            _ = try await offPool {
                let client = try RawClient(port: port)
                client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=XX\r\n")
                client.send("Content-Length: \(body.count)\r\n\r\n")
                client.send(body)
                return try client.response().status
            }
        }
        let request = try #require(kept.withLock { $0.take() })
        #expect(throws: FormError.self) { try request.parts() }
    }
}
