import Synchronization
import TestBench
import Testing

@testable import HTTPServer

/// How a form begins, up to its first part's name, and one up to the first part in that.
private let head = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n"
private let mixed = head + "Content-Type: multipart/mixed; boundary=Y\r\n\r\n--Y"

@Suite("Multipart forms", .timeLimit(.minutes(20)))
struct FormTests {
    /// Reads a body as a form, as a handler would.
    private func parse(
        _ body: [UInt8], contentType: String? = "multipart/form-data; boundary=XX", limits: FormLimits = FormLimits()
    ) throws(FormError) -> [FormPart] {
        try FormReader.parts(of: body, boundary: try FormBoundary(contentType: contentType), limits: limits)
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
        let body = Array("preamble\r\n--XX \t".utf8) + Array(part("image", content).dropFirst("--XX".utf8.count)) + end
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

    /// The parts of a form of one file, whose lines are written as `lines`, "\n" being a line end, and end as `lineEnd` does.
    private func parse(lines: String, lineEnd: String = "\r\n") throws -> [FormPart] {
        try parse(Array(lines.replacing("\n", with: lineEnd).utf8))
    }

    @Test(
        "What follows the final boundary is ignored, and so are blanks behind any (RFC 2046, 5.1.1)",
        arguments: [
            "", "\r", "\r\n", "\n", " \t\r\n", "  ", "\r\n\r\n", "\r\nepilogue", "\r\nepilogue\r\n", "\nepilogue",
            "\r\n--XX--\r\n",
            "\r\n--XXother\r\n", "\r\n\0\0\0",
        ])
    func epilogue(following: String) throws {
        let body = part("a", file: "b", [1, 13, 10]) + Array("--XX--\(following)".utf8)
        #expect(try parse(body) == [FormPart(name: "a", fileName: "b", bytes: [1, 13, 10])])
    }

    @Test("Every line may end with a bare line feed; then a carriage return before a boundary is content")
    func bareLineFeeds() throws {
        let form = #"preamble\n--XX\nContent-Disposition: form-data; name="a"; filename="b"\n\n1\r\n--XX--\n"#
            .replacing(#"\n"#, with: "\n").replacing(#"\r"#, with: "\r")
        #expect(try parse(lines: form, lineEnd: "\n") == [FormPart(name: "a", fileName: "b", bytes: [0x31, 13])])
        let mixed =
            "--XX\r\nContent-Disposition: form-data; name=a\n\r\n1\n--XX \nContent-Disposition: form-data; name=b\r\n\n2"
        #expect(
            try parse(Array((mixed + "\r\n--XX--").utf8)) == [
                FormPart(name: "a", bytes: [0x31]), FormPart(name: "b", bytes: [0x32]),
            ])
        let nested =
            head
            + "Content-Type: multipart/mixed; boundary=Y\n\n--Y\nContent-Disposition: file; filename=f\n\n1\n--Y--\n--XX--"
        #expect(
            try parse(lines: nested.replacing("\r\n", with: "\n"), lineEnd: "\n") == [
                FormPart(name: "a", fileName: "f", bytes: [0x31])
            ])
    }

    @Test("A line that goes on behind the boundary is content: a nested boundary may begin with the outer one")
    func boundaryWithinAnother() throws {
        let inner = "--XX2\r\nContent-Disposition: file; filename=\"b\"\r\n\r\n1\r\n--XX--2\r\n--XX2--\r\n"
        let body = part("a", type: "multipart/mixed; boundary=XX2", Array(inner.utf8)) + end
        #expect(try parse(body) == [FormPart(name: "a", fileName: "b", bytes: Array("1\r\n--XX--2".utf8))])
    }

    @Test("A part may be empty, with an empty line for its content or without")
    func emptyParts() throws {
        let first = "--XX\nContent-Disposition: form-data; name=a\n\n"
        for form in [first + "\n--XX--", first + "--XX--", first + "--XX--\n"] {
            #expect(try parse(lines: form) == [FormPart(name: "a", bytes: [])])
            #expect(try parse(lines: form, lineEnd: "\n") == [FormPart(name: "a", bytes: [])])
        }
    }

    @Test(
        "Folded header lines are one (RFC 5322, 2.2.3)",
        arguments: [
            "Content-Disposition: form-data;\n name=\"a\";\n\tfilename=\"b c\"",
            "Content-Disposition:\n form-data; name=\"a\"; filename=\"b\n c\"",
            "Content-Disposition: form-data; name=\"a\"; filename=\"b\n \t c\"\n ",
            "X: y\n z\nContent-Disposition: form-data\n ; name=a; filename=\"b c\"\nX: y\n z",
        ])
    func folded(lines: String) throws {
        for lineEnd in ["\r\n", "\n"] {
            let parts = try parse(lines: "--XX\n\(lines)\n\n1\n--XX--\n", lineEnd: lineEnd)
            #expect(parts == [FormPart(name: "a", fileName: "b c", bytes: [0x31])])
        }
    }

    @Test(
        "A file's name is read in whatever form a client writes it",
        arguments: [
            (#"name="a"; filename*=utf-8''%D1%84%D0%BE%D1%82%D0%BE.png"#, "фото.png"),
            (#"name="a"; filename*=UTF-8'de'n%C3%A4he.png; filename="nahe.png""#, "nähe.png"),
            (#"name="a"; filename="nahe.png"; filename*=utf-8''n%C3%A4he.png"#, "nähe.png"),
            (#"name*=utf-8''a; filename*="utf-8''b%20c""#, "b c"),
            (#"name=a; filename*=iso-8859-1'en'%A3%20rates"#, "£ rates"),
            // What can't be decoded is the plain name's, or as it stands.
            (#"name=a; filename*=utf-8''%FF; filename=b"#, "b"), (#"name=a; filename*=koi8-r''%C6"#, "koi8-r''%C6"),
            (#"name=a; filename*=b.png"#, "b.png"), (#"name=a; filename*=utf-8''%2"#, "utf-8''%2"),
            // In sections (RFC 2231).
            (#"name=a; filename*0="long "; filename*1="name.png""#, "long name.png"),
            (#"name=a; filename*1*=%C3%A4; filename*0*=utf-8''n; filename*2="%.png""#, "nä%.png"),
            // Quotation marks: as browsers and curl, as Python and Java; paths of Windows.
            (#"name="a"; filename="b%22c.png""#, "b%22c.png"),
            (#"name="a"; filename="b\"; x=\"c.png""#, #"b"; x="c.png"#),
            (#"name="a"; filename="b\\c""#, #"b\c"#), (#"name="a"; filename="C:\dir\b.png""#, #"C:\dir\b.png"#),
            (#"name="a"; filename="""#, ""), (#"name = "a" ; filename = b "#, "b"),
        ])
    func fileName(parameters: String, fileName: String) throws {
        let form = "--XX\nContent-Disposition: form-data; \(parameters)\n\n1\n--XX--\n"
        #expect(try parse(lines: form) == [FormPart(name: "a", fileName: fileName, bytes: [0x31])])
    }

    @Test("A transfer encoding that changes nothing is taken, any other is refused by name (RFC 7578, 4.7)")
    func transferEncodings() throws {
        func form(_ encoding: String) -> [UInt8] {
            Array("\(head)Content-Transfer-Encoding: \(encoding)\r\n\r\n1\r\n--XX--".utf8)
        }
        for encoding in ["binary", "8bit", " 7BIT ", ""] {
            #expect(try parse(form(encoding)) == [FormPart(name: "a", bytes: [0x31])])
        }
        for encoding in ["base64", "quoted-printable"] {
            let refusal = refusal(form(encoding))
            #expect(refusal?.status == 415 && refusal?.description.contains("Content-Transfer-Encoding") == true)
        }
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
            ("--XX--\r\n", "already the final one"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ncut", "final boundary"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ndata\r\n--XX\r\n", "final boundary"),
            ("--XX\r\nContent-Disposition: form-data; na", "final boundary"),
            ("--XX\r\nContent-Disposition: form-data\r\n\r\ndata\r\n--XX--\r\n", "part 1"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\ndata\r\n--XX--\r\n", "part 1"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\rX\r\n\r\ndata\r\n--XX--\r\n", "control character"),
            ("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX--more", "final boundary"),
            ("\(head)\r\n1\r\n--XX--\r\n\(head)\r\n2\r\n--XX--", "follows the final boundary"),
            ("\(head)1\r\n--XX--\r\n", "no empty line"), ("--XX\r\n--XX--", "no empty line"),
            ("--XX\r\nContent-Type: multipart/mixed\r\n\r\n--XX--\r\n", "boundary parameter"),
            ("--XX\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n\r\n--XX--\r\n", "0 characters"),
            ("--XX\r\nContent-Type: multipart/mixed; boundary=Y\r\n\r\n--Y--\r\n--XX--\r\n", "no part"),
            ("--XXjunk", "let the HTTP client set"),
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
            // A client of another test's server that has ended may send requests to this port.
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
        let boundary = try FormBoundary(contentType: request.head.headers["Content-Type"])
        #expect(
            try FormReader.parts(of: request.bytes, boundary: boundary) == [
                FormPart(name: "a", fileName: "b", contentType: nil, bytes: [1, 13, 10])
            ])
    }
}
