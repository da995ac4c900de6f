import Foundation
import HTTPServer
import TestFixtures
import Testing

@testable import API

@Suite("Pages on other origins")
struct CrossOriginTests {
    private static let page = "https://app.example"

    private static func policy() throws -> CrossOriginPolicy {
        .pages(of: [try WebOrigin(page), try WebOrigin("http://localhost:5173")])
    }

    // MARK: Origins

    @Test(
        "Origins are taken as browsers send them",
        arguments: [
            "https://app.example", "http://localhost:5173", "http://127.0.0.1", "https://[2001:db8::1]:8443",
            "https://xn--bcher-kva.example", "capacitor://localhost", "chrome-extension://abcdefghijklmnop",
            "http://app.example:443",
        ])
    func origins(text: String) throws {
        #expect(try WebOrigin(text).text == text)
    }

    @Test(
        "Anything else is refused, with the origin that was meant if it can be told",
        arguments: [
            ("https://app.example/", "give https://app.example"),
            ("https://app.example/path?a#b", "give https://app.example"),
            ("HTTPS://App.Example", "give https://app.example"),
            ("https://app.example:443", "give https://app.example"),
            ("http://app.example:080/", "give http://app.example"),
            ("https://user:pass@app.example", "give https://app.example"),
            ("app.example", "such as https://app.example"), ("//app.example", "such as https://app.example"),
            ("localhost:5173", "such as https://app.example"), ("https://", "such as https://app.example"),
            ("https://bücher.example", "such as https://app.example"),
            ("https://*.example", "such as https://app.example"),
            ("https://a.example:0", "such as https://app.example"),
            ("https://a.example:65536", "such as https://app.example"),
            ("https://a.example:", "such as https://app.example"),
            ("https://[::1", "such as"), ("null", "give that server's origin"), ("", "such as https://app.example"),
        ] as [(String, String)])
    func malformed(text: String, remedy: String) {
        #expect { try WebOrigin(text) } throws: { ($0 as? WebOriginError)?.remedy.contains(remedy) == true }
    }

    // MARK: The decision

    @Test(
        "An origin is allowed if it is one of the list's to the letter",
        arguments: [
            ([page], true), (["http://localhost:5173"], true), (["http://app.example"], false),
            (["https://app.example:8443"], false), (["https://app.example.evil.example"], false),
            (["https://sub.app.example"], false), (["https://app.example/"], false), (["null"], false), ([], false),
            ([page, page], false),
        ] as [([String], Bool)])
    func decision(origins: [String], isAllowed: Bool) throws {
        let headers = try Self.policy().headers(for: origins)
        #expect(headers["Access-Control-Allow-Origin"] == (isAllowed ? origins[0] : nil))
        #expect((headers["Access-Control-Expose-Headers"] != nil) == isAllowed)
        #expect(headers["Vary"] == "Origin", "a cache must not give one page's answer to another")
        #expect(headers["Access-Control-Allow-Credentials"] == nil)
    }

    @Test("Where every page may read, answers are the same for all, null and clients without a page included")
    func everyPage() {
        for origins in [[Self.page], ["null"], []] {
            let headers = CrossOriginPolicy.everyPage.headers(for: origins)
            #expect(headers["Access-Control-Allow-Origin"] == "*" && headers["Vary"] == nil)
        }
    }

    @Test("Only OPTIONS with an origin and a method is a preflight; names that are none are left out")
    func preflights() throws {
        let whole: HTTPHeaders = [
            "Origin": Self.page, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, x-stainless-os,,a b\u{7}, x-api-key",
        ]
        let preflight = try #require(Preflight(method: "OPTIONS", whole))
        #expect(preflight.headers == ["authorization", "x-stainless-os", "x-api-key"])
        let answer = try #require(try Self.policy().headers(for: preflight, methods: ["GET", "HEAD"]))
        #expect(answer["Access-Control-Allow-Headers"] == "authorization, x-stainless-os, x-api-key")
        #expect(answer["Access-Control-Allow-Methods"] == "GET, HEAD")
        #expect(Preflight(method: "POST", whole) == nil)
        for missing in ["Origin", "Access-Control-Request-Method"] {
            var part = whole
            part[missing] = nil
            #expect(Preflight(method: "OPTIONS", part) == nil)
        }
    }

    @Test("Every header that openapi.yaml gives a public answer may be read, unless browsers always show or need it")
    func exposed() throws {
        let root = TestFixtures.folder.deletingLastPathComponent().deletingLastPathComponent()
        let document = try YAML(try String(contentsOf: root.appending(path: "openapi.yaml"), encoding: .utf8))
        let exposed = Set(CrossOriginPolicy.exposedHeaders.components(separatedBy: ", "))
        var described = Set(document["components"]?["responses"]?["methodNotAllowed"]?["headers"]?.keys ?? [])
        for path in document["paths"]?.keys ?? [] {
            for (_, operation) in document["paths"]?[path]?.members ?? [] where !operation.isTagged("admin") {
                for (_, response) in operation["responses"]?.members ?? [] {
                    described.formUnion(document.resolving(response)["headers"]?.keys ?? [])
                }
            }
        }
        #expect(described.subtracting(exposed) == ["Content-Security-Policy", "Vary"])
        #expect(exposed.subtracting(described).isEmpty)
    }

    // MARK: Over HTTP

    @Test("Every answer to a page has its headers, errors of every kind and of the transport included")
    func answers() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["a-right-key"]
            $0.api.wrongKeys.burst = 1
            $0.api.wrongKeys.interval = .seconds(3600)
            $0.api.pages = try! Self.policy()
            $0.service.waitLimit = TestService.noWork
        } _: { service async throws in
            let image = try sampleImage()
            for (method, target, status, headers) in [
                ("POST", "/embed", 401, [:]), ("GET", "/model", 200, ["X-API-Key": "a-right-key"]),
                ("POST", "/embed", 401, ["X-API-Key": "wrong"]), ("POST", "/embed", 429, ["X-API-Key": "wrong"]),
                ("POST", "/embed", 503, ["X-API-Key": "a-right-key"]),
                ("GET", "/version", 413, ["X-API-Key": "a-right-key"]),
                ("POST", "/nothing", 404, [:]), ("PUT", "/embed", 405, [:]), ("GET", "/", 200, [:]),
                ("POST", "/v1/embeddings", 401, [:]), ("POST", "/embed", 431, excessiveHeaders),
            ] as [(String, String, Int, [String: String])] {
                for (origin, allowed) in [(Self.page, Self.page), ("https://other.example", nil), (nil, nil)] {
                    var headers = headers
                    headers["Origin"] = origin
                    // The first wrong key of an address is answered otherwise than the others.
                    let statuses = status == 401 && headers["X-API-Key"] != nil ? [401, 429] : [status]
                    let body = status == 200 || status == 431 ? nil : image
                    let answer = try await service.client.send(method, target, headers: headers, body: body)
                    #expect(statuses.contains(answer.status), "\(method) \(target) \(answer.status)")
                    #expect(answer["Access-Control-Allow-Origin"] == allowed, "\(method) \(target) \(status)")
                    #expect((answer["Access-Control-Expose-Headers"] != nil) == (allowed != nil))
                    #expect(answer["Vary"] == "Origin", "\(method) \(target) \(status)")
                }
            }
        }
    }

    @Test("A preflight needs no key and is answered for every path with its methods, and for paths that don't exist")
    func preflightAnswers() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["a-right-key"]
            $0.api.pages = try! Self.policy()
        } _: { service async throws in
            let question = [
                "Origin": Self.page, "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            ]
            for endpoint in PublicAPI.endpoints {
                let path = endpoint.path.replacing("{model}", with: "a").replacing("{version}", with: "1")
                let answer = try await service.client.send("OPTIONS", path, headers: question, body: nil)
                #expect(answer.status == 204 && answer.body.isEmpty && answer["Content-Length"] == nil, "\(path)")
                #expect(answer["Access-Control-Allow-Origin"] == Self.page && answer["Vary"] == "Origin")
                let methods = answer["Access-Control-Allow-Methods"]?.components(separatedBy: ", ") ?? []
                #expect(methods.contains(endpoint.method), "\(path)")
                #expect(methods.contains("HEAD") == methods.contains("GET"))
                #expect(answer["Access-Control-Allow-Headers"] == "authorization, content-type")
                #expect(answer["Access-Control-Max-Age"] == "7200")
            }
            let unknown = try await service.client.send("OPTIONS", "/nothing", headers: question, body: nil)
            #expect(unknown.status == 204 && unknown["Access-Control-Allow-Methods"] == "GET, HEAD, POST")
            let other = try await service.client.send(
                "OPTIONS", "/embed", headers: question.merging(["Origin": "https://other.example"]) { $1 }, body: nil)
            #expect(other.status == 403 && other.code == "page_forbidden")
            #expect(other["Access-Control-Allow-Origin"] == nil)
            #expect(try await service.client.send("OPTIONS", "/embed", body: nil).status == 405, "this is no preflight")
        }
    }

    @Test("Without allowed pages, and on the admin listener always, no answer has a header of CORS")
    func none() async throws {
        let question = ["Origin": Self.page, "Access-Control-Request-Method": "GET"]
        for pages in [nil, CrossOriginPolicy.everyPage] {
            try await TestService.run {
                $0.api.pages = pages
            } _: { service async throws in
                var answers = [
                    try await service.admin.get("/health/live", headers: question),
                    try await service.admin.get("/metrics", headers: question),
                    try await service.admin.send("OPTIONS", "/metrics", headers: question, body: nil),
                ]
                if pages == nil {
                    answers.append(try await service.client.get("/version", headers: question))
                    answers.append(try await service.client.send("OPTIONS", "/model", headers: question, body: nil))
                }
                #expect(answers.map(\.status) == [200, 403, 405] + (pages == nil ? [200, 405] : []))
                for answer in answers {
                    let names = answer.headers.map { $0.name.lowercased() }
                    #expect(!names.contains { $0.hasPrefix("access-control") || $0 == "vary" })
                }
            }
        }
    }
}

extension YAML {
    fileprivate var members: [(key: String, value: YAML)] {
        guard case .mapping(let members) = self else { return [] }
        return members
    }

    fileprivate func isTagged(_ tag: String) -> Bool { self["tags"]?.items.contains(.scalar(tag)) == true }
}
