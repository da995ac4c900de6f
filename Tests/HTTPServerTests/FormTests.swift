import HTTPServer
import Synchronization
import TestBench
import Testing

/// How a form begins, up to its first part's name, and one up to the first part in that.
private let head = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n"
private let mixed = head + "Content-Type: multipart/mixed; boundary=Y\r\n\r\n--Y"

@Suite("Multipart forms", .timeLimit(.minutes(20)))
struct FormTests {
    /// Reads a body as a form, as a handler would.
    private func parse(
        _ body: [UInt8], contentType: String? = "multipart/form-data; boundary=XX", limits: FormLimits = FormLimits()
    ) throws(FormError) -> [FormPart] {
        var head = RequestHead(method: "POST", target: "/", path: "/")
        head.headers["Content-Type"] = contentType
        return try Request(head: head, body: body).parts(limits: limits)
    }

    /// Why a body is refused; nil if it is a form.
    private func refusal(
        _ body: [UInt8], contentType: String? = "multipart/form-data; boundary=XX", limits: FormLimits = FormLimits()
    ) -> FormError? {
        do throws(FormError) { _ = try parse(body, contentType: contentType, limits: limits) } catch { return error }
        return nil
    }

    private func part(_ name: String, file: String? = nil, type: String? = nil, _ content: [UInt8]) -> [UInt8] {
        let fileName = file.map { "; filename=\"\($0)\"" } ?? ""
        let typeLine = type.map { "Content-Type: \($0)\r\n" } ?? ""
        let head = "--XX\r\nContent-Disposition: form-data; name=\"\(name)\"\(fileName)\r\n\(typeLine)\r\n"
        return Array(head.utf8) + content + Array("\r\n".utf8)
    }

    private let end = Array("--XX--\r\n".utf8)

    @Test("Names, file names, types and contents come out in order")
    func parts() throws {
        let binary = (0..<300).map { UInt8($0 % 256) } + Array("\r\n--X\r\n--".utf8)
        let body =
            part("image", file: "a.jpg", type: "image/jpeg", binary) + part("empty", [])
            + part("empty", Array("x".utf8))
            + part("note", Array("hé".utf8)) + end
        #expect(
            try parse(body) == [
                FormPart(name: "image", fileName: "a.jpg", contentType: "image/jpeg", bytes: binary),
                FormPart(name: "empty", fileName: nil, contentType: nil, bytes: []),
                FormPart(name: "empty", fileName: nil, contentType: nil, bytes: Array("x".utf8)),
                FormPart(name: "note", fileName: nil, contentType: nil, bytes: Array("hé".utf8)),
            ])
    }

    @Test("A large part is intact, a quoted boundary, blanks behind one and a preamble are understood")
    func large() throws {
        let content = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        let body = Array("preamble\r\n--XX \t".utf8) + part("image", content).dropFirst("--XX".utf8.count) + end
        let parts = try parse(body, contentType: "multipart/form-data; boundary=\"XX\"")
        #expect(parts.map(\.bytes) == [content])
    }

    @Test(
        "Field names and parameters are read in any case and order, with or without quotation; the first counts",
        arguments: [
            "Content-Disposition: form-data; name=\"image\"; filename=\"a; b\"",
            "content-disposition:form-data;filename=\"a; b\";NAME=image",
            "CONTENT-DISPOSITION: form-data; name = image ; filename=\"a; b\"; name=\"other\"",
            "X: y\r\nno colon\r\nContent-Disposition: form-data; filename=\"a; b\"; name=\"image\"",
            "Content-Disposition: form-data; name=image; filename=\"a; b\"\r\nContent-Disposition: form-data; name=other",
        ])
    func disposition(lines: String) throws {
        let parts = try parse(Array("--XX\r\n\(lines)\r\n\r\n1\r\n".utf8) + end)
        #expect(parts == [FormPart(name: "image", fileName: "a; b", contentType: nil, bytes: Array("1".utf8))])
    }

    @Test("Nested multipart/mixed gives its parts under the outer name, empty ones too; what follows has its own")
    func nested() throws {
        let inner =
            "--YY\r\nContent-Disposition: file; filename=\"a\"\r\n\r\none\r\n"
            + "--YY\r\nContent-Disposition: file; filename=\"b\"\r\n\r\n\r\n--YY--"
        let body =
            part("files", type: "multipart/mixed; boundary=YY", Array(inner.utf8)) + part("note", Array("n".utf8)) + end
        #expect(
            try parse(body) == [
                FormPart(name: "files", fileName: "a", contentType: nil, bytes: Array("one".utf8)),
                FormPart(name: "files", fileName: "b", contentType: nil, bytes: []),
                FormPart(name: "note", fileName: nil, contentType: nil, bytes: Array("n".utf8)),
            ])
    }

    @Test(
        "Malformed forms are clear errors",
        arguments: [
            ("", "no part"),
            ("no boundary at all", "no part"),
            (
                "a boundary must begin its line: --XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX--",
                "no part"
            ),
            ("--XX--\r\n", "no part"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ncut", "final boundary"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ndata\r\n--XX\r\n", "final boundary"),
            ("--XX\r\nContent-Disposition: form-data; na", "final boundary"),
            ("--XX\r\nContent-Disposition: form-data\r\n\r\ndata\r\n--XX--\r\n", "part 1"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\ndata\r\n--XX--\r\n", "part 1"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\rX\r\n\r\ndata\r\n--XX--\r\n", "control character"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX--\r\nmore", "final boundary"),
            ("--XX\r\nContent-Type: multipart/mixed\r\n\r\n--XX--\r\n", "boundary parameter"),
            ("--XX\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n\r\n--XX--\r\n", "0 characters"),
            ("--XX\r\nContent-Type: multipart/mixed; boundary=Y\r\n\r\n--Y--\r\n--XX--\r\n", "no part"),
            ("--XXjunk", "malformed"),
        ])
    func malformed(body: String, says: String) {
        let refusal = refusal(Array(body.utf8))
        #expect(refusal?.status == 400 && refusal?.description.contains(says) == true, "\(String(describing: refusal))")
    }

    @Test(
        "Bodies that are no form are refused",
        arguments: [
            ("application/octet-stream", 415), (nil, 415), ("multipart/form-data", 400),
            ("multipart/form-data; boundary=\"", 400),
            // The first boundary counts, whatever stands behind its =.
            ("multipart/form-data; boundary=\u{301}; boundary=XX", 400),
        ] as [(String?, Int)])
    func noForm(contentType: String?, status: Int) {
        #expect(refusal(part("a", []) + end, contentType: contentType)?.status == status)
    }

    @Test("Limits: parts, nested ones counted, bytes of a part, bytes of its header lines")
    func limits() throws {
        let many = (0..<5000).flatMap { part("p\($0)", [1]) } + end
        #expect(refusal(many)?.status == 413)
        #expect(try parse(many, limits: FormLimits(maximumParts: 5000)).count == 5000)
        let inner = (0..<3).flatMap { _ in Array("--Y\r\n\r\n1\r\n".utf8) } + Array("--Y--".utf8)
        let nested = part("a", type: "multipart/mixed; boundary=Y", inner) + end
        #expect(try parse(nested, limits: FormLimits(maximumParts: 3)).count == 3)
        #expect(refusal(nested, limits: FormLimits(maximumParts: 2))?.status == 413)
        let large = part("a", [UInt8](repeating: 1, count: 1001)) + end
        #expect(refusal(large, limits: FormLimits(maximumPartBytes: 1000))?.status == 413)
        #expect(refusal(part("a", file: String(repeating: "f", count: 100_000), [1]) + end)?.status == 413)
    }

    /// The shortest of three readings.
    private func time(toRead body: [UInt8]) -> Duration {
        (0..<3).map { _ in ContinuousClock().measure { _ = refusal(body) } }.min() ?? .zero
    }

    @Test(
        "A form made of what is laborious to take apart takes no longer than its length does, and is refused for a reason",
        arguments: [
            ("", "-", "no part"), ("", " --XX", "no part"), (head, "a\n", "header lines"),
            (mixed + "\r\n", "a\n", "header lines"), (mixed, "\r\n\r\n\r\n--Y", "more than 64 parts"),
            (mixed + "\r\n\r\n", "\r\n--", "final boundary"),
        ])
    func laborious(start: String, filling: String, says: String) {
        let count = 8 << 20
        let body = Array((start + String(repeating: filling, count: count / filling.utf8.count) + "\r\n--XX--").utf8)
        #expect(refusal(body)?.description.contains(says) == true)
        let plain = part("a", [UInt8](repeating: 0x61, count: count)) + end
        // A copy of some kilobytes for every byte or two, as by a parser that moves its buffer, is several hundred times.
        #expect(time(toRead: body) < time(toRead: plain) * 100)
    }

    @Test("Truncated anywhere, a form is an error and never a crash")
    func truncated() {
        let body =
            part("image", file: "a", type: "image/png", Array("\r\n--content".utf8)) + part("b", [])
            + Array("--XX--".utf8)
        let read = (0...body.count).filter { refusal(Array(body.prefix($0))) == nil }
        #expect(read == [body.count])
    }

    @Test("A form is read from what arrived, in however small pieces, also after its request has ended")
    func received() async throws {
        let kept = Mutex<Request?>(nil)
        let body = part("a", file: "b", [1, 13, 10]) + end
        try await withServer(handler: { request in
            // Whoever polls a service that has ended may knock here, at the port that was its own.
            if request.head.method == "POST" { kept.withLock { $0 = request } }
            return .text("ok")
        }) { server in
            let port = server.port
            let status = try await offPool {
                let client = try RawClient(port: port)
                client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=XX\r\n")
                client.send("Transfer-Encoding: chunked\r\n\r\n")
                for byte in body { client.send(Array("1\r\n".utf8) + [byte] + Array("\r\n".utf8)) }
                client.send("0\r\n\r\n")
                return try client.response().status
            }
            #expect(status == 200)
        }
        let request = try #require(kept.withLock { $0.take() })
        #expect(try request.parts() == [FormPart(name: "a", fileName: "b", contentType: nil, bytes: [1, 13, 10])])
    }
}
