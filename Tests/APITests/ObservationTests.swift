import Foundation
import TestBench
import TestFixtures
import Testing

@testable import API

@Suite("Request ids, logs, metrics", .timeLimit(.minutes(20)))
struct ObservationTests {
    @Test("A valid request id is kept, another is replaced, and the trace goes on")
    func identities() async throws {
        try await TestService.run { service async throws in
            let trace = "0af7651916cd43dd8448eb211c80319c"
            let headers = ["X-Request-Id": "id-1", "traceparent": "00-\(trace)-b7ad6b7169203331-01"]
            for target in ["/embed", "/nothing", "/embed?x=1"] {
                let answer = try await service.client.post(target, try sampleImage(), headers: headers)
                #expect(answer["X-Request-Id"] == "id-1")
                #expect(answer["traceparent"]?.hasPrefix("00-\(trace)-") == true)
                #expect(answer["traceparent"]?.contains("b7ad6b7169203331") == false)
            }
            let answer = try await service.client.get("/version", headers: ["X-Request-Id": "not one"])
            #expect(answer["X-Request-Id"]?.count == 32)
            let transport = try await service.client.send(
                "POST", "/embed", headers: excessiveHeaders.merging(["X-Request-Id": "id-2"]) { $1 }, body: nil)
            #expect(transport["X-Request-Id"] == "id-2" && transport.status == 431)
        }
    }

    @Test("One access line a request, with route, sizes, timings and version, and without the query")
    func accessLog() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            _ = try await service.client.post("/embed?from=pooled", image, headers: ["X-Request-Id": "one"])
            _ = try await service.client.get("/secret-path?key=hidden", headers: ["X-Request-Id": "two"])
            #expect(try await eventually { try service.log.requests().count == 2 })
            let lines = try service.log.requests()
            let embed = try #require(lines.first { $0["request_id"] as? String == "one" })
            #expect(embed["route"] as? String == "/embed" && embed["status"] as? Int == 200)
            #expect(embed["request_bytes"] as? Int == image.count && (embed["response_bytes"] as? Int ?? 0) > 100)
            #expect(embed["images"] as? Int == 1 && embed["model"] as? String == "a")
            for stage in ["receive", "decode", "queue", "inference", "write", "total"] {
                #expect(embed["\(stage)_seconds"] is Double, "\(stage)")
            }
            let missing = try #require(lines.first { $0["request_id"] as? String == "two" })
            #expect(missing["route"] as? String == "unmatched" && missing["status"] as? Int == 404)
            #expect(service.log.lines.allSatisfy { !$0.contains("hidden") && !$0.contains("secret-path") })
            #expect(service.openRequests == 0)
        }
    }

    @Test("Metrics count requests by route and status, steps, images, stages and the model")
    func metrics() async throws {
        try await TestService.run {
            $0.service.waitLimit = .seconds(3600)
        } _: { service async throws in
            _ = try await service.client.post("/embed", try sampleImage())
            _ = try await service.client.post("/embed", Array("II*\0".utf8))
            _ = try await service.client.get("/a/b/c")
            #expect(await eventually { service.openRequests == 0 })
            let text = try await service.admin.get("/metrics").text
            for line in [
                #"headwater_requests_total{method="POST",route="/embed",status="200"} 1"#,
                #"headwater_requests_total{method="POST",route="/embed",status="415"} 1"#,
                #"headwater_requests_total{method="other",route="unmatched",status="404"} 1"#,
                "headwater_steps_total 3", "headwater_evaluations_total 3", "headwater_images_total 1",
                "headwater_images_waiting 0", "headwater_images_in_flight 0",
                #"headwater_checkpoint_swaps_total{outcome="activated"} 1"#, "headwater_inference_seconds_count 2",
                "headwater_batch_images_count 3", #"headwater_requests_rejected_total{limit="images"} 0"#,
                #"headwater_requests_rejected_total{limit="wait"} 0"#, "headwater_expected_wait_seconds 0",
                "headwater_images_waiting_limit 1024", "headwater_expected_wait_limit_seconds 3600",
            ] {
                #expect(text.contains(line + "\n"), "\(line)")
            }
            #expect(text.contains(#"headwater_model_info{name="a",version=""#))
            #expect(text.contains(#"headwater_build_info{version="1.2.3",commit="c0ffee",kernels=""#))
            #expect(text.contains("\nprocess_resident_memory_bytes "))
        }
    }

    @Test("Metrics tell of each listener how many connections are open and were refused, and of the bodies it holds")
    func connections() async throws {
        try await TestService.run {
            $0.server.maximumConnections = 1
        } _: { service async throws in
            let held = try HTTPClient.connect(port: service.client.port)
            // 1,000 bytes of a body whose end doesn't come.
            let part = "POST /embed HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n"
            HTTPClient.write(Array(part.utf8) + [UInt8](repeating: 1, count: 1000), to: held)
            let isTold = try await eventually {
                let text = try await service.admin.get("/metrics").text
                return text.contains("\nheadwater_connections_open{listener=\"public\"} 1\n")
                    && text.contains("\nheadwater_body_bytes_held{listener=\"public\"} 1000\n")
            }
            #expect(isTold)
            #expect(try await service.client.get("/version").status == 503)
            let text = try await service.admin.get("/metrics").text
            let refused = try #require(text.firstMatch(of: /refused_total{listener="public"} (\d+)/))
            #expect(Int(refused.1) ?? 0 > 0)
            #expect(text.contains("\nheadwater_connections_refused_total{listener=\"admin\"} 0\n"))
            close(held)
        }
    }

    @Test(
        "promtool finds nothing wrong with the metrics",
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/promtool"), "promtool is not installed"))
    func promtool() async throws {
        try await TestService.run { service async throws in
            _ = try await service.client.post("/embed", try sampleImage())
            let text = try await service.admin.get("/metrics").body
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/promtool")
            process.arguments = ["check", "metrics"]
            let (input, output) = (Pipe(), Pipe())
            process.standardInput = input
            process.standardError = output
            process.standardOutput = output
            try process.run()
            try input.fileHandleForWriting.write(contentsOf: Data(text))
            try input.fileHandleForWriting.close()
            let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 0 && said.isEmpty, "\(said)")
        }
    }

    @Test("A client that leaves is forgotten and counted")
    func departure() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            for _ in 0..<10 {
                let socket = try HTTPClient.connect(port: service.client.port)
                HTTPClient.write(
                    Array("POST /embed HTTP/1.1\r\nHost: h\r\nContent-Length: \(image.count)\r\n\r\n".utf8) + image,
                    to: socket)
                close(socket)
            }
            // Others may knock here too, at a port that was some other test's.
            #expect(
                try await eventually {
                    try service.log.requests().count { $0["route"] as? String == "/embed" } == 10
                })
            #expect(await eventually { await service.service.isIdle })
            let status = await service.service.status()
            #expect(status.waiting == 0 && status.inFlight == 0 && service.openRequests == 0)
        }
    }
}
