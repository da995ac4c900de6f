import FlowModel
import Foundation
import Synchronization
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import API
@testable import FeatureService
@testable import Machine

/// A gate that a load waits at until the test opens it.
final class LoadGate: Sendable {
    private let isClosed = Atomic<Bool>(false)
    private let semaphore = DispatchSemaphore(value: 0)
    let arrived = Atomic<Int>(0)

    func close() { isClosed.store(true, ordering: .sequentiallyConsistent) }

    func open() {
        isClosed.store(false, ordering: .sequentiallyConsistent)
        semaphore.signal()
    }

    func pass() {
        guard isClosed.load(ordering: .sequentiallyConsistent) else { return }
        arrived.add(1, ordering: .sequentiallyConsistent)
        semaphore.wait()
    }
}

extension TestService {
    /// The name of the model that answers now.
    func modelName() async throws -> String? {
        let answer = try await client.post("/embed", try sampleImage())
        return (try answer.json()["model"] as? [String: Any])?["name"] as? String
    }

    func record(_ answer: HTTPAnswer, _ which: String) throws -> [String: Any]? {
        try answer.json()[which] as? [String: Any]
    }

    /// The files of the service's own folder.
    func store() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder + "/.headwater").sorted()
    }
}

extension TestService {
    /// Three clients that ask for the image's embedding one time after another while `body` runs.
    func answersUnderLoad(to image: [UInt8], _ body: () async throws -> Void) async throws -> [HTTPAnswer] {
        final class Flag: Sendable { let isSet = Atomic<Bool>(false) }
        let (isOver, client) = (Flag(), client)
        return try await withThrowingTaskGroup(of: [HTTPAnswer].self) { group in
            for _ in 0..<3 {
                group.addTask {
                    var answers: [HTTPAnswer] = []
                    while !isOver.isSet.load(ordering: .relaxed) {
                        answers.append(try await client.post("/embed", image))
                    }
                    return answers
                }
            }
            try await body()
            isOver.isSet.store(true, ordering: .relaxed)
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}

@Suite("Changing the checkpoint", .timeLimit(.minutes(20)))
struct CheckpointTests {
    @Test("A checkpoint of the model directory is loaded, then rolled back to the one before, and both count images")
    func swap() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            #expect(try await service.modelName() == "a")
            let loaded = try await service.admin.postJSON(
                "/admin/checkpoint?wait=true", #"{"path":"b.safetensors"}"#)
            #expect(loaded.status == 200, "\(loaded.text)")
            #expect(try service.record(loaded, "active")?["name"] as? String == "b")
            #expect(try service.record(loaded, "previous")?["name"] as? String == "a")
            #expect(try service.record(loaded, "previous")?["images"] as? Int == 1)
            #expect(try await service.modelName() == "b")
            let back = try await service.admin.post("/admin/rollback?wait=true", [])
            #expect(back.status == 200, "\(back.text)")
            #expect(try await service.modelName() == "a")
            let status = try await service.admin.get("/admin/checkpoint")
            #expect(try service.record(status, "previous")?["images"] as? Int == 1)
            #expect(try service.record(status, "active")?["images"] as? Int == 2)
        }
    }

    @Test(
        "A restart after a rollback begins with the model rolled back to, or says that its file is no longer what it was"
    )
    func replacedFile() async throws {
        try await TestService.run { service async throws in
            func load() async throws -> String {
                let answer = try await service.admin.postJSON(
                    "/admin/checkpoint?wait=true", #"{"path":"nightly.safetensors"}"#)
                return try #require(try service.record(answer, "active")?["sha256"] as? String)
            }
            func marker() throws -> String {
                try String(contentsOfFile: service.folder + "/.headwater/current", encoding: .utf8)
            }
            try service.addModel("nightly.safetensors", seed: 2)
            let good = try await load()
            #expect(try !marker().contains(good), "its owner may replace it")
            try service.addModel("nightly.safetensors", seed: 3)
            let bad = try await load()
            #expect(good != bad)
            #expect(try await service.admin.post("/admin/rollback?wait=true", []).status == 200)
            #expect(try marker().contains(good))
        }
    }

    @Test("Whatever is wrong with a checkpoint, the old model serves on and the reason is kept")
    func corrupt() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            let good = try Data(contentsOf: URL(filePath: service.folder + "/b.safetensors"))
            try good.prefix(good.count - 10).write(to: URL(filePath: service.folder + "/short.safetensors"))
            try Data("hello".utf8).write(to: URL(filePath: service.folder + "/text.safetensors"))
            // Weights so large that the pass overflows.
            try TinyModel.write(to: service.folder + "/loud.safetensors", name: "loud", seed: 3, scale: 1e30)
            let wrong = String(repeating: "0", count: 64)
            for body in [
                #"{"path":"short.safetensors"}"#, #"{"path":"text.safetensors"}"#, #"{"path":"loud.safetensors"}"#,
                #"{"path":"b.safetensors","sha256":"\#(wrong)"}"#,
            ] {
                let answer = try await service.admin.postJSON("/admin/checkpoint?wait=true", body)
                #expect(answer.status == 422 && answer.code == "checkpoint_rejected", "\(answer.text)")
                let status = try await service.admin.get("/admin/checkpoint")
                #expect(try service.record(status, "lastError")?["reason"] is String)
                #expect(try service.record(status, "active")?["name"] as? String == "a")
                #expect(try await service.modelName() == "a")
            }
            let text = try await service.admin.get("/metrics").text
            #expect(text.contains(#"headwater_checkpoint_swaps_total{outcome="failed"} 4"#))
        }
    }

    @Test("A model that needs more memory than there is isn't begun to be read: 507, and the old one serves on")
    func insufficientMemory() async throws {
        let budget = MemoryBudget(availableBytes: 8 << 20, bound: "the memory limit of its cgroup, 64.0 MiB")
        try await TestService.run {
            $0.budget = budget
        } _: { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            // Its weights would be refused if they were looked at.
            var configuration = TinyModel.configuration(name: "large")
            configuration.architecture.modelChannels = 128
            let path = service.folder + "/large.safetensors"
            try TinyModel.write(configuration, to: path, seed: 3)
            let file = try FileHandle(forWritingTo: URL(filePath: path))
            try file.seek(toOffset: try file.seekToEnd() - 4)
            try file.write(contentsOf: Data([0, 0, 0xC0, 0x7F]))
            try file.close()
            let answer = try await service.admin.postJSON(
                "/admin/checkpoint?wait=true", #"{"path":"large.safetensors"}"#)
            #expect(answer.status == 507 && answer.code == "insufficient_memory", "\(answer.text)")
            for part in ["\\\"large\\\" takes up to", "8.0 MiB are left of \(budget.bound); raise this limit"] {
                #expect(answer.text.contains(part), "\(answer.text)")
            }
            #expect(try await service.modelName() == "a")
            let small = try await service.admin.postJSON("/admin/checkpoint?wait=true", #"{"path":"b.safetensors"}"#)
            #expect(small.status == 200, "\(small.text)")
        }
    }

    @Test("Without the model directory uploads and rollbacks are refused, 507; when it is back they work again")
    func vanishedDirectory() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            let upload = [UInt8](try Data(contentsOf: URL(filePath: service.folder + "/b.safetensors")))
            let load = #"{"path":"b.safetensors"}"#
            #expect(try await service.admin.postJSON("/admin/checkpoint?wait=true", load).status == 200)
            try FileManager.default.removeItem(atPath: service.folder)
            #expect(try await service.admin.postJSON("/admin/checkpoint?wait=true", load).status == 404)
            let refused = try await service.admin.send("PUT", "/admin/checkpoint?wait=true", body: upload)
            #expect(refused.status == 507 && refused.text.contains("No such file or directory"), "\(refused.text)")
            #expect(try await service.modelName() == "b")
            try FileManager.default.createDirectory(atPath: service.folder, withIntermediateDirectories: false)
            let rolledBack = try await service.admin.post("/admin/rollback?wait=true", [])
            #expect(rolledBack.status == 200, "\(rolledBack.text)")
            let taken = try await service.admin.send("PUT", "/admin/checkpoint?wait=true", body: upload)
            #expect(taken.status == 200, "\(taken.text)")
            #expect(try await service.modelName() == "b")
        }
    }

    @Test(
        "Paths that leave the model directory are refused",
        arguments: [
            ("../a.safetensors", 403), ("x/../../etc/passwd", 403), ("/etc/passwd", 403), ("/nowhere/at/all", 403),
            ("outside", 403), ("missing.safetensors", 404), ("folder", 404), ("", 403), ("a\\u0000b", 403),
            ("inside", 200),
        ])
    func confinement(path: String, status: Int) async throws {
        try await TestService.run { service async throws in
            let manager = FileManager.default
            try manager.createSymbolicLink(atPath: service.folder + "/outside", withDestinationPath: "/etc/passwd")
            try manager.createSymbolicLink(
                atPath: service.folder + "/inside", withDestinationPath: service.folder + "/a.safetensors")
            try manager.createDirectory(atPath: service.folder + "/folder", withIntermediateDirectories: false)
            let answer = try await service.admin.postJSON("/admin/checkpoint?wait=true", #"{"path":"\#(path)"}"#)
            #expect(answer.status == status, "\(answer.text)")
        }
    }

    @Test("Of two loads at a time the second is 409, and the first is answered 202 before it has ended")
    func oneAtATime() async throws {
        let gate = LoadGate()
        try await TestService.run {
            $0.selfTest = { _ in gate.pass() }
        } _: { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            gate.close()
            let first = try await service.admin.postJSON("/admin/checkpoint", #"{"path":"b.safetensors"}"#)
            #expect(first.status == 202 && first["Location"] == "/admin/checkpoint")
            #expect(await eventually { gate.arrived.load(ordering: .sequentiallyConsistent) == 1 })
            let status = try await service.admin.get("/admin/checkpoint")
            #expect(try service.record(status, "loading")?["phase"] as? String == "self-testing")
            let requests: [(String, String, [UInt8])] = [
                ("POST", "/admin/checkpoint", Array(#"{"path":"a.safetensors"}"#.utf8)),
                ("PUT", "/admin/checkpoint", [1, 2, 3]),
            ]
            for (method, target, body) in requests {
                let second = try await service.admin.send(method, target, body: body)
                #expect(second.status == 409 && second.code == "checkpoint_busy", "\(second.text)")
            }
            #expect(try await service.modelName() == "a")
            gate.open()
            #expect(try await eventually { try await service.modelName() == "b" })
        }
    }

    @Test("An upload is checked, kept under its digest, served, and what it replaces in turn is removed")
    func upload() async throws {
        try await TestService.run { service async throws in
            var digests: [String] = []
            for seed in [UInt64(5), 6, 7] {
                try service.addModel("new", name: "upload-\(seed)", seed: seed)
                let bytes = [UInt8](try Data(contentsOf: URL(filePath: service.folder + "/new")))
                let answer = try await service.admin.send("PUT", "/admin/checkpoint?wait=true", body: bytes)
                #expect(answer.status == 200, "\(answer.text)")
                let active = try #require(try service.record(answer, "active"))
                #expect(active["name"] as? String == "upload-\(seed)" && active["source"] as? String == "upload")
                digests.append(try #require(active["sha256"] as? String))
            }
            // The last two, for a rollback.
            #expect(try service.store() == (digests.suffix(2).map { $0 + ".safetensors" } + ["current"]).sorted())
            let bad = try await service.admin.send("PUT", "/admin/checkpoint?wait=true", body: Array("no".utf8))
            #expect(bad.status == 422)
            let digest = String(repeating: "1", count: 64)
            let other = try await service.admin.send(
                "PUT", "/admin/checkpoint?wait=true&sha256=\(digest)", body: [UInt8](repeating: 0, count: 100))
            #expect(other.status == 422)
            #expect(try service.store().count == 3)
            #expect(try await service.modelName() == "upload-7")
        }
    }

    @Test("What is asked for without sense is refused")
    func refusals() async throws {
        try await TestService.run { service async throws in
            #expect(try await service.admin.post("/admin/rollback", []).code == "no_previous_checkpoint")
            for (body, code) in [
                (#"{}"#, "malformed_body"), (#"{"path":"a","x":1}"#, "unknown_parameter"), ("", "malformed_body"),
                (#"{"path":"a.safetensors","sha256":"12"}"#, "invalid_parameter"),
            ] {
                #expect(try await service.admin.postJSON("/admin/checkpoint", body).code == code)
            }
            let wait = try await service.admin.postJSON("/admin/checkpoint?wait=maybe", "{}")
            #expect(wait.code == "invalid_parameter")
            let empty = try await service.admin.send("PUT", "/admin/checkpoint", body: [])
            #expect(empty.code == "checkpoint_rejected")
        }
        try await TestService.run {
            $0.hasDirectory = false
        } _: { service async throws in
            for (method, body) in [("PUT", "x"), ("POST", #"{"path":"a"}"#)] {
                let answer = try await service.admin.send(method, "/admin/checkpoint", body: Array(body.utf8))
                #expect(answer.code == "no_model_directory" && answer.status == 409)
            }
        }
    }

    @Test("The same file again changes nothing, so that the previous model stays the one to return to")
    func unchanged() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            for _ in 0..<2 {
                _ = try await service.admin.postJSON("/admin/checkpoint?wait=true", #"{"path":"b.safetensors"}"#)
            }
            let status = try await service.admin.get("/admin/checkpoint")
            #expect(try service.record(status, "previous")?["name"] as? String == "a")
        }
    }

    @Test("A reload keeps an activated checkpoint unless the configured file has changed; DELETE gives it up")
    func returnsToConfigured() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            func activate() async throws {
                let answer = try await service.admin.postJSON(
                    "/admin/checkpoint?wait=true", #"{"path":"b.safetensors"}"#)
                #expect(answer.status == 200, "\(answer.text)")
                #expect(try service.record(answer, "active")?["name"] as? String == "b")
            }
            func restarted() async throws -> String? {
                let manager = TestService.manager(
                    FeatureService(configuration: .init(), kernels: .best, pool: TestService.pool, events: .init()),
                    initial: service.folder + "/a.safetensors", directory: try ModelDirectory(path: service.folder))
                try await manager.start()
                return await manager.status.active?.version.name
            }
            try await activate()
            #expect(try await service.checkpoints.reload() == nil)
            #expect(try await service.modelName() == "b")

            let back = try await service.admin.send("DELETE", "/admin/checkpoint?wait=true", body: [])
            #expect(back.status == 200, "\(back.text)")
            #expect(try service.record(back, "active")?["name"] as? String == "a")
            #expect(try await restarted() == "a")
            #expect(try await service.admin.post("/admin/rollback?wait=true", []).status == 200)
            #expect(try await restarted() == "b")

            try service.addModel("a.safetensors", name: "c", seed: 3)
            #expect(try await service.checkpoints.reload()?.value.get() == .activated)
            #expect(try await service.modelName() == "c")
            #expect(try await restarted() == "c")
            try await activate()
            #expect(try await service.checkpoints.reload() == nil, "the file is the one that was read last")

            try FileManager.default.removeItem(atPath: service.folder + "/a.safetensors")
            await #expect(throws: CheckpointFailure.self) { try await service.checkpoints.reload()?.value.get() }
            let gone = try await service.admin.send("DELETE", "/admin/checkpoint?wait=true", body: [])
            #expect(gone.status == 422 && gone.code == "checkpoint_rejected", "\(gone.text)")
            #expect(try await service.modelName() == "b")
        }
    }

    @Test("Until the service has started, nothing else is loaded, so that the start can't be refused as busy")
    func beforeTheStart() async throws {
        try await TestService.run {
            $0.starts = false
        } _: { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            for (method, path, body) in [
                ("POST", "/admin/checkpoint", #"{"path":"b.safetensors"}"#), ("PUT", "/admin/checkpoint", "bytes"),
                ("DELETE", "/admin/checkpoint", ""),
            ] {
                let type = method == "PUT" ? "application/octet-stream" : "application/json"
                let answer = try await service.admin.send(
                    method, path, headers: body.isEmpty ? [:] : ["Content-Type": type], body: Array(body.utf8))
                #expect(answer.status == 409 && answer.code == "checkpoint_busy", "\(method): \(answer.text)")
            }
            try await service.checkpoints.start()
            let loaded = try await service.admin.postJSON("/admin/checkpoint?wait=true", #"{"path":"b.safetensors"}"#)
            #expect(loaded.status == 200, "\(loaded.text)")
        }
    }

    @Test("A restart serves the checkpoint activated last, and what a killed service left behind is removed")
    func restart() async throws {
        try await TestService.run { service async throws in
            try service.addModel("new", name: "uploaded", seed: 8)
            let bytes = [UInt8](try Data(contentsOf: URL(filePath: service.folder + "/new")))
            let answer = try await service.admin.send("PUT", "/admin/checkpoint?wait=true", body: bytes)
            #expect(answer.status == 200)
            // What a kill leaves during a PUT: half an upload, a staged one, and half a marker.
            for name in [".upload-abc", ".staged-abc", ".abc.partial"] {
                try Data(bytes.prefix(1000)).write(to: URL(filePath: service.folder + "/.headwater/" + name))
            }
            let restarted = TestService.manager(
                FeatureService(configuration: .init(), kernels: .best, pool: TestService.pool, events: .init()),
                initial: service.folder + "/a.safetensors", directory: try ModelDirectory(path: service.folder))
            try await restarted.start()
            #expect(await restarted.status.active?.version.name == "uploaded")
            let store = try service.store()
            #expect(store.count == 2 && store.allSatisfy { !$0.hasPrefix(".") }, "the upload and the marker: \(store)")

            // Rolled back, a restart serves the configured model again.
            _ = try await service.admin.post("/admin/rollback?wait=true", [])
            let again = TestService.manager(
                FeatureService(configuration: .init(), kernels: .best, pool: TestService.pool, events: .init()),
                initial: service.folder + "/a.safetensors", directory: try ModelDirectory(path: service.folder))
            try await again.start()
            #expect(await again.status.active?.version.name == "a")
        }
    }

    @Test(
        "A restart goes on with the checkpoint until another model is configured; the activation can still be resumed")
    func reconfigured() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            try service.addModel("c.safetensors", name: "c", seed: 3)
            let answer = try await service.admin.postJSON("/admin/checkpoint?wait=true", #"{"path":"b.safetensors"}"#)
            #expect(answer.status == 200)
            func restart(
                configured: String, _ preference: StartingCheckpoint.Preference = .latest
            ) async throws -> (name: String?, report: StartReport) {
                let manager = TestService.manager(
                    FeatureService(configuration: .init(), kernels: .best, pool: TestService.pool, events: .init()),
                    initial: service.folder + "/" + configured, directory: try ModelDirectory(path: service.folder),
                    preference: preference)
                let report = try await manager.start()
                return (await manager.status.active?.version.name, report)
            }
            let same = try await restart(configured: "a.safetensors")
            #expect(same.name == "b" && same.report.choice.reason == .unchanged)
            #expect(same.report.activated?.path == "b.safetensors")
            #expect(same.report.configured.source.hasSuffix("/a.safetensors"))
            #expect(same.report.activated?.sha256 != nil && same.report.configured.sha256 != nil)
            let other = try await restart(configured: "c.safetensors")
            #expect(other.name == "c" && other.report.choice.reason == .reconfigured)
            #expect(try await restart(configured: "c.safetensors", .resume).name == "b")
            #expect(try await restart(configured: "a.safetensors", .configured).name == "a")
            // None of these starts changed what was activated, and over what.
            #expect(try await restart(configured: "a.safetensors").name == "b")
            // The same path, but another file.
            try service.addModel("a.safetensors", name: "d", seed: 4)
            #expect(try await restart(configured: "a.safetensors").name == "d")
        }
    }

    @Test("A restart doesn't silently serve another model if the last one is damaged or its marker is")
    func damagedRestart() async throws {
        try await TestService.run { service async throws in
            try service.addModel("new", name: "uploaded", seed: 8)
            let bytes = [UInt8](try Data(contentsOf: URL(filePath: service.folder + "/new")))
            let answer = try await service.admin.send("PUT", "/admin/checkpoint?wait=true", body: bytes)
            let active = try #require(try service.record(answer, "active"))
            let digest = try #require(active["sha256"] as? String)
            let manager = TestService.manager(
                FeatureService(configuration: .init(), kernels: .best, pool: TestService.pool, events: .init()),
                initial: service.folder + "/a.safetensors", directory: try ModelDirectory(path: service.folder))
            // One bit of the last weight.
            var damaged = bytes
            damaged[damaged.count - 4] ^= 1
            let file = URL(filePath: service.folder + "/.headwater/\(digest).safetensors")
            try Data(damaged).write(to: file)
            await #expect(throws: CheckpointFailure.self) { try await manager.start() }
            try FileManager.default.removeItem(at: file)
            await #expect(throws: CheckpointRefusal.self) { try await manager.start() }
            try Data("{".utf8).write(to: URL(filePath: service.folder + "/.headwater/current"))
            await #expect(throws: ModelLoadingError.self) { try await manager.start() }
        }
    }

    @Test("Under load, swaps good and bad fail no request, and every answer is one of the two models' true answers")
    func swapsUnderLoad() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b.safetensors", seed: 2)
            try Data("bad".utf8).write(to: URL(filePath: service.folder + "/bad.safetensors"))
            let image = try sampleImage()
            var truth: [String: [Double]] = [:]
            truth["a"] = try embedding(try await service.client.post("/embed", image))
            _ = try await service.admin.postJSON("/admin/checkpoint?wait=true", #"{"path":"b.safetensors"}"#)
            truth["b"] = try embedding(try await service.client.post("/embed", image))
            #expect(truth["a"] != truth["b"])

            let answers = try await service.answersUnderLoad(to: image) {
                for round in 0..<9 {
                    let path = ["a.safetensors", "bad.safetensors", "b.safetensors"][round % 3]
                    let answer = try await service.admin.postJSON(
                        "/admin/checkpoint?wait=true", #"{"path":"\#(path)"}"#)
                    #expect(answer.status == (path.hasPrefix("bad") ? 422 : 200), "\(answer.text)")
                }
            }
            var names: Set<String> = []
            for answer in answers {
                #expect(answer.status == 200)
                let model = try #require(try answer.json()["model"] as? [String: Any])
                let name = try #require(model["name"] as? String)
                #expect(try embedding(answer) == truth[name])
                names.insert(name)
            }
            #expect(names == ["a", "b"])
        }
    }
}
