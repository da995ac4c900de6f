import TestBench
import Testing

@testable import HTTPServer

@Suite("Decisions from a request's head")
struct DecisionTests {
    @Test(
        "A target is decoded once and not normalised",
        arguments: [
            ("/", "/", []),
            ("/a/../b//c", "/a/../b//c", []),
            ("/a%2Fb%2fc%20d", "/a%2Fb%2Fc d", []),
            ("/caf%C3%A9", "/café", []),
            ("/%2525", "/%25", []),
            (
                "/p?at=0.65,0.8&from=pooled", "/p",
                [QueryItem(name: "at", value: "0.65,0.8"), QueryItem(name: "from", value: "pooled")]
            ),
            (
                "/p?a&b=&c=d=e&&f=x+y%2B", "/p",
                [
                    QueryItem(name: "a", value: nil), QueryItem(name: "b", value: ""),
                    QueryItem(name: "c", value: "d=e"),
                    QueryItem(name: "f", value: "x y+"),
                ]
            ),
            ("http://host:80/p?q=1", "/p", [QueryItem(name: "q", value: "1")]),
            ("HTTPS://host", "/", []),
            ("*", "*", []),
            // To Swift, & and = with an accent behind them are other characters; to every proxy they divide the query.
            (
                "/\u{301}?a=\u{301}&\u{301}b=1", "/\u{301}",
                [QueryItem(name: "a", value: "\u{301}"), QueryItem(name: "\u{301}b", value: "1")]
            ),
        ] as [(String, String, [QueryItem])])
    func target(received: String, path: String, query: [QueryItem]) throws {
        let target = try RequestTarget(received)
        #expect(target.path == path)
        #expect(target.query == query)
    }

    @Test(
        "A malformed target is refused",
        arguments: [
            "", "relative", "/%", "/%4", "/%zz", "/%00", "/%ff", "/a b", "/a#b", "/\u{7F}", "/?q=%C3", "ftp://host/x",
            "/?a" + String(repeating: "%CC%81", count: 31), "/a" + String(repeating: "\u{301}", count: 31), nil,
        ] as [String?])
    func malformedTarget(received: String?) {
        #expect(throws: InvalidTarget.self) { try RequestTarget(received) }
    }

    @Test(
        "Heads on which two parsers could disagree are refused",
        arguments: [
            (["Content-Length": "1", "content-length": "1"], 400),
            (["Content-Length": "1", "Transfer-Encoding": "chunked"], 400),
            (["Transfer-Encoding": "chunked", "transfer-encoding": "chunked"], 400),
            (["Transfer-Encoding": "gzip, chunked"], 501),
            (["Content-Length": "+1"], 400), (["Content-Length": "1,1"], 400), (["Content-Length": ""], 400),
            (["Content-Length": "99999999999999999999"], 400),
            (["Transfer-Encoding ": "chunked"], 400), (["X": "a\u{0}b"], 400), (["Host": "a", "host": "b"], 400),
        ] as [(HTTPHeaders, Int)])
    func ambiguousFraming(headers: HTTPHeaders, status: Int) {
        var headers = headers
        if headers["Host"] == nil { headers["Host"] = "h" }
        #expect {
            try RequestFraming.examine(headers, version: "HTTP/1.1")
        } throws: {
            ($0 as? TransportRefusal)?.status == status
        }
    }

    @Test("HTTP/1.0 has no transfer codings: a proxy that passed such a request on may have ended its body elsewhere")
    func codingOfOldVersion() throws {
        let headers: HTTPHeaders = ["Host": "h", "Transfer-Encoding": "chunked"]
        #expect(throws: TransportRefusal(status: 400, reason: "HTTP/1.0 has no Transfer-Encoding")) {
            try RequestFraming.examine(headers, version: "HTTP/1.0")
        }
        #expect(try RequestFraming.examine(headers, version: "HTTP/1.2") == .chunked)
    }

    @Test("Since HTTP/1.1 a request names its host", arguments: [("HTTP/1.0", true), ("HTTP/1.1", false), ("", false)])
    func host(version: String, isWelcome: Bool) throws {
        #expect(try RequestFraming.examine(["Host": ""], version: version) == .empty)
        guard !isWelcome else {
            #expect(try RequestFraming.examine([:], version: version) == .empty)
            return
        }
        #expect(throws: TransportRefusal.self) { try RequestFraming.examine([:], version: version) }
    }

    @Test(
        "A body's end is where its headers say",
        arguments: [
            ([:], .empty), (["Content-Length": "0"], .empty), (["Content-Length": "12"], .length(12)),
            (["Transfer-Encoding": "Chunked"], .chunked),
        ] as [(HTTPHeaders, RequestFraming)])
    func framing(headers: HTTPHeaders, expected: RequestFraming) throws {
        var headers = headers
        headers["Host"] = "h"
        #expect(try RequestFraming.examine(headers, version: "HTTP/1.1") == expected)
    }

    /// Decides about a head without a body; throws the transport's refusal.
    private func admit(
        method: String = "GET", version: String = "HTTP/1.1", _ decide: (RequestHead) -> Admission<Void>
    ) throws -> RequestHead {
        let received = ReceivedHead(
            method: method, target: "/", version: version, headers: ["Host": "h"], byteCount: 100,
            remoteAddress: "127.0.0.1", received: .now)
        do throws(HeadRefusal) {
            return try AcceptedHead(received, maximumHeaderBytes: 16 << 10, bodyMemory: 1 << 20, admit: decide).head
        } catch {
            guard case .transport(let refusal) = error.cause else { throw error }
            throw refusal
        }
    }

    @Test(
        "A method that is no token is refused before anything compares it, which takes the square of its accents' number",
        arguments: ["", "G T", "GÉT", "GET\u{7F}", "GET/", String(repeating: "\u{301}\u{323}", count: 40)])
    func malformedMethod(method: String) {
        #expect(throws: TransportRefusal(status: 400, reason: "the method is not a token")) {
            try admit(method: method) { _ in
                Issue.record("the application has been asked about it")
                return .accepted((), .memory(maximumBytes: 0))
            }
        }
    }

    @Test(
        "Every version but 1.0 is taken for 1.1, whose clients know interim responses",
        arguments: [
            ("HTTP/1.0", "HTTP/1.0"), ("HTTP/1.1", "HTTP/1.1"), ("HTTP/1.2", "HTTP/1.1"), ("HTTP/1.9", "HTTP/1.1"),
        ])
    func version(received: String, taken: String) throws {
        #expect(try admit(version: received) { _ in .accepted((), .memory(maximumBytes: 0)) }.version == taken)
    }

    @Test("Header names ignore case, values and order are kept")
    func headers() {
        var headers: HTTPHeaders = ["A": "1", "B": "2", "a": "3"]
        #expect(headers["a"] == "1")
        #expect(headers.values(of: "A") == ["1", "3"])
        headers["a"] = "4"
        #expect(headers.fields.map(\.name) == ["B", "a"])
        headers["b"] = nil
        #expect(headers.fields == [.init(name: "a", value: "4")])
    }

    @Test(
        "A response that would inject a header or break the framing has a fault",
        arguments: [
            ["X": "a\r\nSet-Cookie: b"], ["X\r\nY": "a"], ["X": "a\u{0}"], ["": "a"], ["X Y": "a"],
            ["Content-Length": "3"],
            ["transfer-encoding": "chunked"], ["Date": "now"],
        ] as [HTTPHeaders])
    func fault(headers: HTTPHeaders) {
        #expect(Response(headers: headers).fault != nil)
        #expect(Response(headers: ["X": "fine, téxt"]).fault == nil)
    }

    @Test(
        "A form's boundary is the first parameter of that name, quoted or not, of 1 to 70 printable characters",
        arguments: [
            ("multipart/form-data; boundary=abc", nil), ("Multipart/Form-Data;boundary=\"a b\"", nil),
            ("multipart/form-data", 400), ("multipart/form-data; boundary=", 400),
            ("multipart/form-data; boundary=\"", 400),
            ("multipart/form-data; boundary=\"\"", 400), ("multipart/form-data; boundary=a; charset=utf-8", nil),
            ("multipart/form-data; charset=utf-8; boundary=\"a;b\"", nil), ("multipart/form-data; xboundary=a", 400),
            ("multipart/form-data; boundary=" + String(repeating: "x", count: 71), 400),
            ("multipart/form-data; boundary=" + String(repeating: "x", count: 70), nil),
            ("multipart/form-data; boundary=a", nil), ("multipart/form-data ; Boundary=ab ", nil),
            ("multipart/form-data; boundary=é", 400), ("multipart/mixed; boundary=a", 415), (nil, 415), ("", 415),
        ] as [(String?, Int?)])
    func boundary(contentType: String?, status: Int?) {
        var found: Int?
        do throws(FormError) { _ = try FormBoundary(contentType: contentType) } catch { found = error.status }
        #expect(found == status)
    }

    @Test(
        "Configurations that make no sense are refused",
        arguments: [
            { $0.threads = 0 }, { $0.maximumConnections = 0 }, { $0.maximumHeaderBytes = 1 },
            { $0.requestTimeout = .zero }, { $0.idleTimeout = .seconds(-1) }, { $0.backlog = 0 },
        ] as [@Sendable (inout ServerConfiguration) -> Void])
    func configuration(change: @Sendable (inout ServerConfiguration) -> Void) {
        var configuration = ServerConfiguration()
        change(&configuration)
        #expect(throws: ServerError.self) { try Server(configuration: configuration, handler: echo) }
    }
}
