import FeatureService
import Foundation
import Telemetry
import TestBench
import TestFixtures
import Testing

@testable import API

@Suite("What the log tells", .timeLimit(.minutes(20)))
struct LogTests {
    @Test(
        "Each way of logging requests has a level for a success, a health check, an error, a failed check and a departure",
        arguments: [
            (AccessLog.all, [.info, .debug, .info, .info, .info]), (.errors, [nil, nil, .info, .info, .info]),
            (.off, [nil, nil, nil, nil, nil]),
        ] as [(AccessLog, [LogLevel?])])
    func levels(log: AccessLog, expected: [LogLevel?]) {
        let cases = [(200, true, false), (200, true, true), (404, true, false), (503, true, true), (200, false, true)]
        #expect(cases.map { log.level(status: $0, isComplete: $1, isRoutine: $2) } == expected)
    }

    /// The routes and codes logged when a service with these settings is asked for a feature, its health, its metrics and
    /// something that isn't there.
    private func logged(_ accessLog: AccessLog, _ level: LogLevel) async throws -> [String] {
        try await TestService.run {
            ($0.api.accessLog, $0.admin.accessLog, $0.logLevel) = (accessLog, accessLog, level)
        } _: { service async throws in
            #expect(try await service.client.post("/embed", try sampleImage()).status == 200)
            #expect(try await service.client.get("/health/ready").status == 200)
            #expect(try await service.client.get("/v2/models/a/ready").status == 200)
            #expect(try await service.admin.get("/metrics").status == 200)
            #expect(try await service.client.post("/embed", []).status == 422)
            #expect(await eventually { service.openRequests == 0 })
            return try service.log.requests().compactMap {
                guard let route = $0["route"] as? String else { return nil }
                return route + (($0["code"] as? String).map { " " + $0 } ?? "")
            }.sorted()
        }
    }

    @Test("Health checks and scrapes that succeed are logged at the level debug only, and errors with their code")
    func routine() async throws {
        let error = "/embed no_images"
        #expect(try await logged(.all, .info) == ["/embed", error])
        #expect(try await logged(.errors, .debug) == [error])
        #expect(try await logged(.off, .debug) == [])
        let everything = try await logged(.all, .debug)
        #expect(Set(everything).isSuperset(of: ["/health/ready", "/v2/models/{model}/ready", "/metrics", error]))
    }

    @Test("What the HTTP server says of a client that left early is logged at the level debug")
    func departure() async throws {
        try await TestService.run {
            $0.logLevel = .debug
        } _: { service async throws in
            let port = service.client.port
            try await offPool {
                let client = try RawClient(port: port)
                client.send("GET /model HTTP/1.1\r\nHo")
            }
            func levels() -> [String]? {
                try? service.log.lines(saying: "http server").compactMap { $0["level"] as? String }
            }
            #expect(await eventually { levels()?.isEmpty == false })
            #expect(levels() == ["debug"])
        }
    }

    @Test("Every change of the model is logged with action, source, versions, client and request, and so is a refusal")
    func checkpoints() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            try Data("nonsense".utf8).write(to: URL(filePath: service.folder + "/broken.safetensors"))
            func load(_ path: String, id: String) async throws -> Int {
                try await service.admin.send(
                    "POST", "/admin/checkpoint?wait=true",
                    headers: ["Content-Type": "application/json", "X-Request-Id": id],
                    body: Array(#"{"path":"\#(path)"}"#.utf8)
                ).status
            }
            #expect(try await load("b.safetensors", id: "load-1") == 200)
            #expect(try await load("broken.safetensors", id: "load-2") == 422)
            #expect(try await load("missing.safetensors", id: "load-3") == 404)
            #expect(
                try await service.admin.send(
                    "POST", "/admin/rollback?wait=true", headers: ["X-Request-Id": "back"], body: []
                ).status == 200)
            #expect(
                try await service.admin.send(
                    "PUT", "/admin/checkpoint?wait=true", headers: ["X-Request-Id": "up"], body: TinyModel.classifier
                ).status == 200)
            _ = try await service.checkpoints.reset().value.get()

            let lines = try service.log.lines(saying: "checkpoint ")
            func line(_ message: String, _ action: String) throws -> [String: String] {
                let found = lines.first { $0["message"] as? String == message && $0["action"] as? String == action }
                return try #require(found, "\(message), \(action)").compactMapValues { $0 as? String }
            }
            for action in ["start", "load", "rollback", "upload", "reset"] {
                _ = try line("checkpoint loading", action)
            }
            let start = try line("checkpoint activated", "start")
            #expect(start["model"] == "a" && start["previous_model"] == nil && start["client"] == nil)
            let loaded = try line("checkpoint activated", "load")
            #expect(loaded["source"] == "b.safetensors" && loaded["model"] == "b" && loaded["version"]?.count == 12)
            #expect(loaded["previous_model"] == "a" && loaded["previous_version"] == start["version"])
            #expect(loaded["client"] == "127.0.0.1" && loaded["request_id"] == "load-1")
            let failed = try line("checkpoint failed", "load")
            #expect(failed["source"] == "broken.safetensors" && failed["reason"]?.isEmpty == false)
            #expect(failed["serving_model"] == "b" && failed["request_id"] == "load-2" && failed["phase"] == "loading")
            let refused = try line("checkpoint refused", "load")
            #expect(refused["code"] == "checkpoint_not_found" && refused["request_id"] == "load-3")
            #expect(refused["client"] == "127.0.0.1")
            let back = try line("checkpoint activated", "rollback")
            #expect(back["model"] == "a" && back["previous_model"] == "b" && back["request_id"] == "back")
            let upload = try line("checkpoint unchanged", "upload")
            #expect(upload["source"] == "upload" && upload["model"] == "a" && upload["request_id"] == "up")
            #expect(try line("checkpoint unchanged", "reset")["client"] == nil)
        }
    }
}
