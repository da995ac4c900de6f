import FeatureService
import Foundation
import HTTPServer
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import API

@Suite("Requests that are refused, and why", .timeLimit(.minutes(20)))
struct RefusalTests {
    @Test(
        "Every refusal is a problem document with its code",
        arguments: [
            ("GET", "/nothing", [:], 404, "not_found"), ("POST", "/embed/", [:], 404, "not_found"),
            ("GET", "/embed", [:], 405, "method_not_allowed"), ("HEAD", "/classify", [:], 405, nil),
            ("DELETE", "/model", [:], 405, "method_not_allowed"),
            ("POST", "/embed?form=pooled", [:], 400, "unknown_parameter"),
            ("POST", "/classify?at=end", [:], 400, "unknown_parameter"),
            ("POST", "/embed?at=1&at=end", [:], 400, "invalid_parameter"),
            ("POST", "/embed?at", [:], 400, "invalid_parameter"),
            ("POST", "/embed?at=soon", [:], 400, "invalid_parameter"),
            ("POST", "/embed?from=nowhere", [:], 400, "invalid_parameter"),
            ("POST", "/embed?normalize=l3", [:], 400, "invalid_parameter"),
            ("POST", "/embed?taps=end/pooled", [:], 400, "unknown_parameter"),
            ("POST", "/classify?top=0", [:], 400, "invalid_parameter"),
            ("POST", "/classify?top=99999999999999999999", [:], 400, "invalid_parameter"),
            ("GET", "/model?x=1", [:], 400, "unknown_parameter"),
            ("POST", "/embed", ["Content-Type": "multipart/mixed; boundary=x"], 415, "unsupported_media_type"),
            ("POST", "/embed", ["Content-Encoding": "br"], 415, "unsupported_media_type"),
            (
                "POST", "/embed", ["Content-Type": "application/json; charset=utf-16"], 415,
                "unsupported_media_type"
            ),
            ("POST", "/embed", ["Accept": "image/png"], 406, "not_acceptable"),
            ("POST", "/classify", ["Accept": "application/x-npy"], 406, "not_acceptable"),
            ("POST", "/embed", ["X-Request-Timeout": "soon"], 400, "malformed_request"),
            ("POST", "/embed", ["X-Request-Timeout": "0"], 400, "malformed_request"),
            ("POST", "/embed", ["X-Request-Timeout": "nan"], 400, "malformed_request"),
            ("POST", "/embed", ["X-Request-Timeout": "1e-9"], 504, "deadline_exceeded"),
            ("POST", "/embed", ["Content-Length": "99999999"], 413, "body_too_large"),
            ("GET", "/model", ["Content-Length": "3"], 413, "body_too_large"),
        ] as [(String, String, [String: String], Int, String?)]
            + unknownCodings(("POST", "/embed", ["Transfer-Encoding": "gzip"], 501, "not_implemented")))
    func refusal(method: String, target: String, headers: [String: String], status: Int, code: String?) async throws {
        try await TestService.run {
            // All but the deadline is decided without a model.
            $0.starts = status == 504
        } _: { service async throws in
            let body: [UInt8]? = headers["Transfer-Encoding"] == nil ? try sampleImage() : nil
            let answer = try await service.client.send(method, target, headers: headers, body: body)
            #expect(answer.status == status, "\(answer.text)")
            #expect(answer.code == code, "\(answer.text)")
            #expect(answer["Content-Type"] == "application/problem+json")
            guard method != "HEAD" else {
                #expect(answer.text.isEmpty)
                return
            }
            let json = try answer.json()
            #expect(json["status"] as? Int == status && json["requestId"] as? String == answer["X-Request-Id"])
            for member in ["type", "title", "detail", "error"] { #expect((json[member] as? String)?.isEmpty == false) }
        }
    }

    @Test("A form without a usable boundary is refused before its body is sent", arguments: ["", "; boundary=é"])
    func noBoundary(parameter: String) async throws {
        try await TestService.run { service async throws in
            let headers = ["Content-Type": "multipart/form-data" + parameter, "Content-Length": "1000000"]
            let answer = try await service.client.send("POST", "/embed", headers: headers, body: nil)
            #expect(answer.status == 400 && answer.code == "malformed_body", "\(answer.text)")
            #expect(answer.text.contains("boundary"))
        }
    }

    @Test(
        "A problem's document has what clients of its protocol read",
        arguments: [
            (ErrorFormat.problemDetails, ["type", "title", "status", "detail"]), (.openInference, ["error"]),
            (.openAI, ["error"]),
        ])
    func documents(format: ErrorFormat, members: [String]) throws {
        let response = format.response(to: Problem(.notFound, "gone", headers: ["Allow": "GET"]), requestID: "a")
        #expect(response.status == 404 && response.headers["Content-Type"] == format.mediaType)
        #expect(response.headers["Allow"] == "GET")
        let document = try #require(try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any])
        #expect(Set(members).isSubset(of: document.keys))
    }

    @Test("A head above the limit is refused")
    func longHead() async throws {
        try await TestService.run {
            $0.starts = false
        } _: { service async throws in
            let answer = try await service.client.send(
                "POST", "/embed", headers: excessiveHeaders, body: try sampleImage())
            #expect(answer.status == 431 && answer.code == "headers_too_large", "\(answer.text)")
            #expect(answer["Content-Type"] == "application/problem+json")
        }
    }

    @Test("405 names the methods that the path has, and 404 the nearest path")
    func remedies() async throws {
        try await TestService.run { service async throws in
            #expect(try await service.client.post("/version", [])["Allow"] == "GET, HEAD")
            #expect(try await service.client.get("/embed")["Allow"] == "POST")
            #expect(try await service.client.get("/modle").text.contains("did you mean /model?"))
            #expect(try await service.client.post("/embed?form=x", []).text.contains("did you mean from?"))
        }
    }

    @Test("A tap that the model doesn't have is 422 and names the grid")
    func unknownTap() async throws {
        try await TestService.run { service async throws in
            let answer = try await service.client.post("/embed?at=0.5", try sampleImage())
            #expect(answer.status == 422 && answer.code == "unknown_tap")
            #expect(answer.text.contains("0.6666"))
        }
    }

    @Test(
        "A JSON body that isn't as it should be says where",
        arguments: [
            (#"{"images":["AAAA"#, "byte "), (#"{"images":["AA=A"]}"#, "images[0]"),
            (#"{"images":["AAAA","AAA"]}"#, "images[1]"), (#"{"image":["AAAA"]}"#, "did you mean images?"),
            (#"{"images":[],"images":[]}"#, "appears twice"), (#"{"images":[[[[[["AAAA"]]]]]]}"#, "images[0] must be"),
            (#"{"images":["AAAA"],"taps":[{"time":1}]}"#, "both time and place"),
            (#"{"images":["AAAA"],"taps":[{"time":1,"place":"pooled","x":1}]}"#, "unknown member of a tap"),
            (#"{"images":["AAAA"],"taps":[{"time":1,"place":"pooled"}],"at":1}"#, "twice"),
            (#"{"images":["AAAA"],"normalize":"l3"}"#, #""none" or "l2""#), (#"[]"#, "must be an object"),
            (#"{"images":["AAAA"]} x"#, "follows the end"), ("", "the body is empty"),
            (#"{"images":[5]}"#, "images[0] must be"),
            (#"{"images":["AAAA"],"at":1e999}"#, "time"),
        ])
    func malformedJSON(document: String, said: String) async throws {
        try await TestService.run {
            $0.starts = false
        } _: { service async throws in
            let answer = try await service.client.postJSON("/embed", document)
            #expect(answer.status == 400, "\(answer.text)")
            let detail = try #require(try answer.json()["detail"] as? String)
            #expect(detail.contains(said), "\(detail)")
        }
    }

    @Test("No image is 422 in every form, and too many are 413")
    func imageCounts() async throws {
        try await TestService.run {
            $0.api.maximumImages = 2
        } _: { service async throws in
            let image = try sampleImage()
            let form = ["Content-Type": Form.contentType]
            #expect(try await service.client.post("/embed", []).code == "no_images")
            #expect(try await service.client.postJSON("/embed", #"{"images":[]}"#).code == "no_images")
            let fields = Form().field("at", "end").body
            #expect(try await service.client.post("/embed", fields, headers: form).code == "no_images")
            let unused = Form().file("image", [], fileName: "").file("b", image).body
            #expect(try await service.client.post("/embed", unused, headers: form).status == 200)
            let three = Form().file("a", image).file("b", image).file("c", image).body
            #expect(try await service.client.post("/embed", three, headers: form).code == "too_many_images")
            let base64 = Data(image).base64EncodedString()
            let json = #"{"images":["\#(base64)","\#(base64)","\#(base64)"]}"#
            #expect(try await service.client.postJSON("/embed", json).code == "too_many_images")
        }
    }

    @Test("Several taps don't fit into a NumPy array, nor does a text encoding apply to it")
    func arrayLimits() async throws {
        try await TestService.run { service async throws in
            for query in ["?at=1,end", "?from=pooled,middle", "?encoding=base64"] {
                let answer = try await service.client.post(
                    "/embed" + query, try sampleImage(), headers: ["Accept": "application/x-npy"])
                #expect(answer.code == "invalid_parameter", "\(query)")
            }
        }
    }

    @Test("Taps are limited, an image's and those of all images together")
    func tapLimits() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let places = Array(repeating: "pooled", count: 64).joined(separator: ",")
            let form = (0..<9).reduce(Form()) { form, _ in form.file("i", image) }
            let many = try await service.client.post(
                "/embed?from=" + places, form.body, headers: ["Content-Type": Form.contentType])
            #expect(many.code == "invalid_parameter" && many.text.contains("512"))
            for query in ["?from=\(places),state", "?at=end,end&from=\(places)"] {
                #expect(try await service.client.post("/embed" + query, image).code == "invalid_parameter")
            }
        }
    }

    @Test("Activations are read in cells, as many as their pixels at most")
    func cells() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let answer = try await service.client.post("/embed?from=middle,middle:2x2&encoding=base64", image)
            #expect(answer.status == 200 && answer.text.contains("\"place\":\"middle:2x2\""))
            let finer = try await service.client.post("/embed?from=middle:99x99", image)
            #expect(finer.code == "unknown_tap" && finer.text.contains("can be divided up to"))
            #expect(try await service.client.post("/embed?from=middle:2x3", image).code == "invalid_parameter")
            #expect(try await service.client.post("/embed?from=pooled:2x2", image).code == "invalid_parameter")
        }
    }

    @Test("An answer or a body that takes more memory than is left is 503, and counted; others are answered")
    func memoryOfAnswers() async throws {
        try await TestService.run {
            $0.server.maximumHeldBodyBytes = 1 << 20
        } _: { service async throws in
            let image = try sampleImage()
            // 900,000 bytes of a body whose end doesn't come.
            let held = try HTTPClient.connect(port: service.client.port)
            let part = "POST /embed HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
            HTTPClient.write(Array(part.utf8) + [UInt8](repeating: 1, count: 900_000), to: held)
            let isHeld = #"headwater_body_bytes_held{listener="public"} 900000"#
            #expect(await eventually { (try? await service.admin.get("/metrics").text.contains(isHeld)) == true })
            let wanted = "/embed?from=down.0:16x16,down.0:16x16"
            let refused = try await service.client.post(wanted, image)
            #expect(refused.status == 503 && refused.code == "overloaded" && refused["Retry-After"] == "1")
            #expect(try await service.client.post("/embed", [UInt8](repeating: 0, count: 200_000)).status == 503)
            #expect(try await service.client.post("/embed", image).status == 200)
            let metrics = try await service.admin.get("/metrics").text
            #expect(metrics.contains(#"headwater_requests_rejected_total{limit="memory"} 2"#))
            close(held)
            #expect(await eventually { (try? await service.client.post(wanted, image).status) == 200 })
        }
    }

    @Test("An answer that never fits into the memory is 400, so that its client doesn't try again in vain")
    func endlessAnswer() async throws {
        try await TestService.run {
            $0.server.maximumHeldBodyBytes = 1 << 20
        } _: { service async throws in
            let places = Array(repeating: "down.0:16x16", count: 64).joined(separator: ",")
            let refused = try await service.client.post("/embed?from=" + places, try sampleImage())
            #expect(refused.status == 400 && refused.code == "invalid_parameter")
            #expect(refused.text.contains("ask for fewer images or taps"))
        }
    }

    @Test("A form without boundary, cut off or with an unknown field is 400")
    func malformedForm() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let whole = Form().file("a", image).body
            let cut = try await service.client.post(
                "/embed", Array(whole.dropLast(20)), headers: ["Content-Type": Form.contentType])
            #expect(cut.code == "malformed_body")
            let bare = try await service.client.post("/embed", whole, headers: ["Content-Type": "multipart/form-data"])
            #expect(bare.code == "malformed_body")
            let unknown = try await service.client.post(
                "/embed", Form().file("a", image).field("att", "end").body, headers: ["Content-Type": Form.contentType])
            #expect(unknown.code == "unknown_parameter" && unknown.text.contains("did you mean at?"))
        }
    }

    @Test("Without a key 401, with either header and any of the keys 200, health always open")
    func keys() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["first-key", "second-key"]
            $0.admin.token = "token"
        } _: { service async throws in
            let image = try sampleImage()
            let bare = try await service.client.post("/embed", image)
            #expect(bare.status == 401 && bare["WWW-Authenticate"]?.hasPrefix("Bearer") == true)
            for headers in [
                ["Authorization": "Bearer first-key"], ["Authorization": "bearer second-key"],
                ["X-API-Key": "second-key"], ["X-API-Key": "", "Authorization": "Bearer first-key"],
            ] {
                #expect(try await service.client.post("/embed", image, headers: headers).status == 200)
            }
            for headers in [
                ["Authorization": "Bearer first-ke"], ["Authorization": "Basic first-key"], ["X-API-Key": ""],
            ] {
                #expect(try await service.client.post("/embed", image, headers: headers).status == 401)
            }
            #expect(try await service.client.get("/model").status == 401)
            for path in ["live", "ready", "startup"] {
                #expect(try await service.client.get("/health/" + path).status == 200)
                #expect(try await service.admin.get("/health/" + path).status == 200)
            }
            #expect(try await service.admin.get("/metrics").status == 401)
            let token = ["Authorization": "Bearer token"]
            #expect(try await service.admin.get("/metrics", headers: token).status == 200)
            #expect(try await eventually { try service.log.requests().count >= 8 })
            #expect(service.log.lines.allSatisfy { !$0.contains("first-key") && !$0.contains("token\"") })
        }
    }
}

@Suite("Descriptions and health", .timeLimit(.minutes(20)))
struct DescriptionTests {
    @Test("Every GET answers, and its HEAD has the same length and no body")
    func heads() async throws {
        try await TestService.run { service async throws in
            let label = try #require(await service.service.active?.version.label)
            for endpoint in PublicAPI.endpoints where endpoint.method == "GET" {
                let path = endpoint.path.replacing("{model}", with: "a").replacing("{version}", with: label)
                let get = try await service.client.get(path)
                let head = try await service.client.send("HEAD", path, body: nil)
                #expect(get.status == 200 && head.status == 200, "\(endpoint.name)")
                #expect(head.body.isEmpty && head["Content-Length"] == "\(get.body.count)")
            }
        }
    }

    @Test("What monitors ask ignores query parameters of theirs; everywhere else an unknown one is refused")
    func monitors() async throws {
        try await TestService.run { service async throws in
            let label = try #require(await service.service.active?.version.label)
            func statuses<API>(
                _ endpoints: [Endpoint<API>], _ client: HTTPClient
            ) async throws -> [(name: String, status: Int)] {
                var statuses: [(String, Int)] = []
                for endpoint in endpoints where endpoint.method == "GET" {
                    let path = endpoint.path.replacing("{model}", with: "a").replacing("{version}", with: label)
                    for query in ["?_=1700000000", "?verbose", "?probe=lb&x=", "?a=1&a=2"] {
                        statuses.append((endpoint.name, try await client.get(path + query).status))
                    }
                }
                return statuses
            }
            let monitored: Set = [
                "live", "ready", "startup", "inferenceLive", "inferenceReady", "inferenceModelReady",
                "inferenceVersionReady", "playground",
            ]
            for (name, status) in try await statuses(PublicAPI.endpoints, service.client) {
                #expect(status == (monitored.contains(name) ? 200 : 400), "\(name)")
            }
            for (name, status) in try await statuses(AdminAPI.endpoints, service.admin) {
                #expect(status == (["checkpoint", "version"].contains(name) ? 400 : 200), "\(name)")
            }
        }
    }

    @Test("The documents served are the repository's, byte for byte, without a key; a browser gets what it shows")
    func documents() async throws {
        let root = TestFixtures.folder.deletingLastPathComponent().deletingLastPathComponent()
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        try await TestService.run {
            $0.api.apiKeys = ["key"]
        } _: { service async throws in
            for (path, source, type) in [
                ("/openapi.yaml", "openapi.yaml", "application/yaml"),
                ("/api.md", "docs/api.md", "text/plain; charset=utf-8"),
            ] {
                let file = [UInt8](try Data(contentsOf: root.appending(path: source)))
                for (accept, expected) in [
                    ("*/*", type), ("application/json", type), ("text/html;q=0, text/*", type),
                    (browser, "text/plain; charset=utf-8"), ("TEXT/HTML", "text/plain; charset=utf-8"),
                ] {
                    let answer = try await service.client.get(path, headers: ["Accept": accept])
                    #expect(answer.status == 200 && answer.body == file)
                    #expect(answer["Content-Type"] == expected, "\(path) \(accept)")
                    #expect(answer["Vary"] == (path == "/openapi.yaml" ? "Accept" : nil))
                }
            }
        }
    }

    @Test("The model's description says how many images a request may have made, or that none are made")
    func generation() async throws {
        try await TestService.run {
            $0.api.maximumSamples = 5
        } _: { service async throws in
            let model = try await service.client.get("/model").json()
            #expect(model["generation"] as? [String: Int] == ["maxSamples": 5])
        }
        try await TestService.run {
            $0.api.hasGeneration = false
        } _: { service async throws in
            let model = try await service.client.get("/model").json()
            #expect(model["generation"] is NSNull && model["name"] as? String == "a")
        }
    }

    @Test("The model's description lists its grid and places; the version is the program's")
    func descriptions() async throws {
        try await TestService.run { service async throws in
            let model = try await service.client.get("/model").json()
            let pass = try #require(model["pass"] as? [String: Any])
            #expect((pass["times"] as? [Double])?.count == 4 && model["name"] as? String == "a")
            #expect((model["places"] as? [[String: Any]])?.isEmpty == false)
            let libraries: Set = ["libjpeg-turbo", "libpng", "libwebp"]
            for (client, decoders) in [(service.client, nil), (service.admin, libraries)] {
                let answer = try await client.get("/version").json()
                #expect(answer["version"] as? String == "1.2.3" && answer["commit"] as? String == "c0ffee")
                #expect((answer["decoders"] as? [String: String]).map { Set($0.keys) } == decoders)
            }
        }
    }

    @Test("Before a model is loaded: live, but neither ready nor started, and features are 503 with Retry-After")
    func starting() async throws {
        try await TestService.run {
            $0.starts = false
        } _: { service async throws in
            #expect(try await service.client.get("/health/live").status == 200)
            for path in ["/health/ready", "/health/startup", "/model"] {
                let answer = try await service.client.get(path)
                #expect(answer.status == 503 && answer.code == "starting" && answer["Retry-After"] != nil)
            }
            let answer = try await service.client.post("/embed", try sampleImage())
            #expect(answer.status == 503 && answer["Retry-After"] != nil)
        }
    }

    @Test("About to stop: not ready, yet work is done; while draining, it is refused")
    func draining() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            await service.service.retireReadiness()
            #expect(try await service.client.get("/health/ready").code == "stopping")
            #expect(try await service.client.post("/embed", image).status == 200)
            await service.service.beginDraining()
            #expect(try await service.client.post("/embed", image).code == "stopping")
            #expect(try await service.client.get("/health/ready").code == "stopping")
            #expect(try await service.client.get("/health/live").status == 200)
        }
    }

    @Test("More work ahead than is accepted is 503 with Retry-After, and not ready")
    func overload() async throws {
        try await TestService.run {
            $0.service.waitLimit = TestService.noWork
        } _: { service async throws in
            for answer in [
                try await service.client.post("/embed", try sampleImage()),
                try await service.client.get("/health/ready"),
            ] {
                #expect(answer.status == 503 && answer.code == "overloaded")
                #expect(answer["Retry-After"].flatMap { Int($0) } ?? 0 >= 1)
            }
            let text = try await service.admin.get("/metrics").text
            #expect(text.contains("\nheadwater_requests_rejected_total{limit=\"wait\"} 1\n"))
        }
    }

    @Test("While the queue is full, a large body is refused before it has come")
    func overloadByHead() async throws {
        let pool = WorkerPool(count: 2)
        try await TestService.run {
            $0.pool = pool
            $0.service.queueLimit = 1
            $0.service.batchLimit = 1
        } _: { service async throws in
            let image = try sampleImage()
            let hold = await WorkerPoolHold(of: pool)
            // One in flight and one that waits for it.
            async let first = service.client.post("/embed", image)
            #expect(await eventually { await service.service.status().inFlight == 1 })
            async let second = service.client.post("/embed", image)
            #expect(await eventually { await service.service.status().waiting == 1 })
            let refused = try await service.client.post("/embed", [UInt8](repeating: 0, count: 1 << 20))
            #expect(refused.status == 503 && refused.code == "overloaded")
            // A body that had come would have left the connection usable.
            #expect(refused["Connection"] == "close")
            hold.release()
            #expect(try await first.status == 200)
            #expect(try await second.status == 200)
            #expect(try await service.client.post("/embed", image).status == 200)
        }
    }
}
