import FlowModel
import Foundation
import HTTPServer
import Synchronization
import TestBench
import TestFixtures
import Testing

/// A folder with models: `a` (the configured one) and `b`, which differ, and what is wrong in several ways.
struct ModelFolder {
    let scratch: Scratch
    let configured: String
    var directory: String { scratch.path("models") }

    static let corrupt = ["short", "text", "loud", "otherwise"]

    /// - Parameter isBundled: whether `a` is the bundled model and `b` one of its size, instead of tiny ones.
    init(isBundled: Bool = false) throws {
        scratch = try Scratch()
        configured = try scratch.write([], to: "models/a.safetensors")
        func path(_ name: String) -> String { scratch.path("models/\(name).safetensors") }
        if isBundled {
            let sources = TestFixtures.folder.deletingLastPathComponent().deletingLastPathComponent()
            let bundled = sources.appending(path: "Sources/CBundledModel/headwater-cifar10.safetensors")
            try scratch.write(try Data(contentsOf: bundled), to: "models/a.safetensors")
            try Self.writeVariant(of: configured, to: path("b"))
        } else {
            try TinyModel.write(to: configured, name: "a", seed: 1)
            try TinyModel.write(to: path("b"), name: "b", seed: 2)
        }
        try scratch.write(try bytes("b").dropLast(10), to: "models/short.safetensors")
        try scratch.write(Array("hello".utf8), to: "models/text.safetensors")
        // Weights so large that the pass overflows, and a model that answers otherwise than it is recorded to.
        try TinyModel.write(to: path("loud"), name: "loud", seed: 3, scale: 1e30)
        var configuration = TinyModel.configuration(name: "otherwise")
        configuration.selfTest = SelfTestRecord(seed: 1, tap: "end/pooled", embedding: [9], logits: [1])
        try TinyModel.write(configuration, to: path("otherwise"), seed: 4)
    }

    /// The same model with another bias of the first layer, so that all that it answers is different.
    private static func writeVariant(of path: String, to other: String) throws {
        let file = try ModelFile(path: path)
        var configuration = file.configuration
        configuration.name = "b"
        configuration.selfTest = nil
        try ModelFile.write(configuration, to: other, storing: .f16) { key in
            let values = try file.tensor(key)
            return key == "unet.input_blocks.0.0.bias" ? [0.25, -0.25, 0.5] + values.dropFirst(3) : values
        }
    }

    func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(filePath: scratch.path("models/\(name).safetensors"))))
    }

    /// What the service keeps for itself.
    func store() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory + "/.headwater").sorted()
    }
}

extension RunningService {
    /// Loads a file of the model directory and waits for the end.
    func load(_ name: String) async throws -> ReceivedResponse {
        try await admin.askJSON("POST", "/admin/checkpoint?wait=true", #"{"path":"\#(name).safetensors"}"#)
    }

    /// Uploads a file and waits for the end.
    func upload(_ bytes: [UInt8]) async throws -> ReceivedResponse {
        try await admin.ask("PUT", "/admin/checkpoint?wait=true", body: bytes)
    }

    /// The active model's record.
    func active() async throws -> [String: Any] {
        try #require(try await admin.ask("GET", "/admin/checkpoint").json()["active"] as? [String: Any])
    }
}

/// What a load of requests came to.
struct LoadTally: Sendable {
    /// Answers by the version that they name.
    var answers: [String: Int] = [:]
    /// Those that were no answer of 200, or not the bits of the version they name.
    var faults: [String] = []
}

extension RunningService {
    /// Keeps `clients` connections busy with the sample image while `body` runs, and compares each answer with what is true
    /// of the version that it names.
    func underLoad(
        clients: Int, truth: [String: Substring], _ body: () async throws -> Void
    ) async throws -> LoadTally {
        let isOver = Flag()
        let port = client.port
        return try await withThrowingTaskGroup(of: LoadTally.self) { group in
            for _ in 0..<clients {
                group.addTask {
                    try await offPool {
                        let client = try RawClient(port: port)
                        let request = PortClient.request("POST", "/embed", body: sampleImage)
                        var tally = LoadTally()
                        while !isOver.isSet.load(ordering: .relaxed) {
                            client.send(request)
                            let answer = try client.response()
                            let version = answer.version ?? ""
                            tally.answers[version, default: 0] += 1
                            if answer.status != 200 || answer.features != truth[version] {
                                tally.faults.append("\(answer.status) \(answer.text.prefix(200))")
                            }
                        }
                        return tally
                    }
                }
            }
            defer { isOver.isSet.store(true, ordering: .relaxed) }
            try await body()
            isOver.isSet.store(true, ordering: .relaxed)
            return try await group.reduce(into: LoadTally()) {
                $0.answers.merge($1.answers, uniquingKeysWith: +)
                $0.faults += $1.faults
            }
        }
    }

    private final class Flag: Sendable { let isSet = Atomic<Bool>(false) }
}

@Suite("The running service and changes of its model", .timeLimit(.minutes(30)))
struct SwapTests {
    @Test("Under full load, swaps between two models and corrupt ones fail no request, and every answer is true")
    func swapsUnderLoad() async throws {
        let folder = try ModelFolder(isBundled: isLong)
        let (swaps, corrupt) = isLong ? (200, 20) : (8, 4)
        try await RunningService.serve(["--model", folder.configured, "--model-directory", folder.directory]) {
            service in
            var truth: [String: Substring] = [:]
            for name in ["b", "a"] {
                #expect(try await service.load(name).status == 200)
                let answer = try await service.client.ask("POST", "/embed", body: sampleImage)
                truth[try #require(answer.version)] = answer.features
            }
            #expect(truth.count == 2 && Set(truth.values).count == 2)
            // What the first load brings with it, connections' buffers and the allocator's, is there to stay.
            let warm = try await service.underLoad(clients: 16, truth: truth) { () async throws in
                for round in 0..<(isLong ? 20 : 2) {
                    #expect(try await service.load(round % 2 == 0 ? "b" : "a").status == 200)
                }
            }
            #expect(warm.faults.isEmpty)
            let before = (memory: try await service.settledMemory(), descriptors: try service.descriptors())

            let tally = try await service.underLoad(clients: 16, truth: truth) { () async throws in
                for round in 0..<swaps {
                    let answer = try await service.load(round % 2 == 0 ? "b" : "a")
                    #expect(answer.status == 200, "\(answer.text.prefix(300))")
                    guard round % (swaps / corrupt) == 0 else { continue }
                    let name = ModelFolder.corrupt[round / (swaps / corrupt) % ModelFolder.corrupt.count]
                    let refused = try await service.load(name)
                    #expect(refused.status == 422, "\(name): \(refused.text.prefix(300))")
                }
            }
            #expect(tally.faults.isEmpty, "\(tally.faults.count), the first: \(tally.faults.first ?? "")")
            #expect(tally.answers.count == 2)
            #expect(try await service.settles(descriptors: before.descriptors))
            let after = try await service.settledMemory()
            let answered = tally.answers.values.reduce(0, +)
            #expect(try await service.metric(#"headwater_checkpoint_swaps_total{outcome="failed"}"#) == Double(corrupt))
            if isLong {
                print(
                    "\(swaps) swaps, \(corrupt) corrupt: \(answered) answers, \(before.memory) KiB before, \(after) after"
                )
            }
            // In the short form the allocator's own growth weighs more than a tiny model.
            #expect(Double(after) < Double(before.memory) * (isLong ? 1.05 : 1.25), "\(before.memory) to \(after) KiB")
        }
    }

    /// How many changes of the model have been begun, as far as they have ended.
    private static func endedChanges(_ service: RunningService) async throws -> Double {
        var sum = 0.0
        for outcome in ["activated", "unchanged", "failed"] {
            sum += try await service.metric(#"headwater_checkpoint_swaps_total{outcome="\#(outcome)"}"#)
        }
        return sum
    }

    @Test("Of concurrent loads one runs at a time, the others get 409, and every answer is its model's")
    func concurrentSwaps() async throws {
        let folder = try ModelFolder()
        try await RunningService.serve(["--model", folder.configured, "--model-directory", folder.directory]) {
            service in
            var truth: [String: Substring] = [:]
            for name in ["b", "a"] {
                #expect(try await service.load(name).status == 200)
                truth[name] = try await service.client.ask("POST", "/embed", body: sampleImage).features
            }
            #expect(truth["a"] != truth["b"])
            let before = try await Self.endedChanges(service)

            let upload = PortClient.request("PUT", "/admin/checkpoint?wait=true", body: try folder.bytes("b"))
            let loads = ["b", "text"].map { name in
                PortClient.request(
                    "POST", "/admin/checkpoint?wait=true", headers: ["Content-Type": "application/json"],
                    body: Array(#"{"path":"\#(name).safetensors"}"#.utf8))
            }
            let port = service.admin.port
            let statuses = try await offPool {
                let requests = (0..<12).map { ([upload] + loads)[$0 % 3] }
                let clients = try requests.map { _ in try RawClient(port: port) }
                for (client, request) in zip(clients, requests) { client.send(Array(request.dropLast())) }
                // All complete within less than the time of one load.
                for (client, request) in zip(clients, requests) { client.send(Array(request.suffix(1))) }
                return try clients.map { try $0.response().status }
            }
            let begun = statuses.count { $0 != 409 }
            #expect((1..<12).contains(begun) && Set(statuses).isSubset(of: [200, 409, 422]), "\(statuses)")
            #expect(try await Self.endedChanges(service) == before + Double(begun), "what received 409 was not begun")
            for name in ["b", "a"] {
                #expect(try await service.load(name).status == 200)
                #expect(try await service.active()["name"] as? String == name)
                #expect(try await service.client.ask("POST", "/embed", body: sampleImage).features == truth[name])
            }
            let store = try folder.store()
            #expect(store.allSatisfy { !$0.hasPrefix(".") }, "\(store)")
        }
    }

    @Test("Killed at any moment of a PUT, a restart serves the last complete model and tidies up")
    func killedUploads() async throws {
        let folder = try ModelFolder()
        let arguments = ["--model", folder.configured, "--model-directory", folder.directory]
        var generator = SeededGenerator(seed: isLong ? UInt64.random(in: 0 ... .max) : 1)
        var (expected, completed, whole) = (Set(["a"]), 0, Duration.milliseconds(100))
        for round in 0..<(isLong ? 100 : 5) {
            let name = "upload-\(round)"
            try TinyModel.write(to: folder.scratch.path("new"), name: name, seed: UInt64(100 + round))
            let bytes = [UInt8](try Data(contentsOf: URL(filePath: folder.scratch.path("new"))))
            let service = try await RunningService.start(arguments)
            let served = try #require(try await service.active()["name"] as? String)
            #expect(expected.contains(served), "\(served) instead of \(expected)")
            let store = try folder.store()
            #expect(store.allSatisfy { !$0.hasPrefix(".") }, "\(store)")
            #expect(try await service.client.ask("POST", "/embed", body: sampleImage).status == 200)

            let began = ContinuousClock.now
            let port = service.admin.port
            async let answer = offPool { () -> Int? in
                // It may have been killed before.
                guard let client = try? RawClient(port: port) else { return nil }
                let request = PortClient.request("PUT", "/admin/checkpoint?wait=true", body: bytes)
                client.send(Array(request.prefix(request.count / 2)))
                client.send(Array(request.dropFirst(request.count / 2)))
                return try? client.response().status
            }
            // The first upload tells how long one takes.
            if round > 0 {
                try await Task.sleep(for: whole * Double.random(in: 0...1.1, using: &generator))
            } else {
                _ = try await answer
            }
            service.run.signal(SIGKILL)
            let status = try await answer
            await service.run.wait()
            if round == 0 { whole = ContinuousClock.now - began }
            #expect(status == nil || status == 200)
            completed += status == nil ? 0 : 1
            expected = status == nil ? [served, name] : [name]
        }
        if isLong { print("\(completed) of 100 uploads were answered before the kill") }
        try await RunningService.serve(arguments) { service async throws in
            let served = try await service.active()["name"] as? String ?? ""
            #expect(expected.contains(served), "\(served) instead of \(expected)")
            // The marker, and no uploads but the one that serves.
            let store = try folder.store()
            #expect(store.count <= 2, "\(store)")
        }
    }

    @Test("A model that answers otherwise than its file records is refused, at start with the reason and status 65")
    func selfTest() async throws {
        let folder = try ModelFolder()
        let path = folder.scratch.path("models/otherwise.safetensors")
        let outcome = try await BuiltProgram.run(["serve", "--port", "0", "--admin-port", "0", "--model", path])
        #expect(outcome.status == 65, "\(outcome.errors)")
        #expect(
            outcome.errors.contains("a number of end/pooled is") && outcome.errors.contains("instead of 9.0"),
            "\(outcome.errors)")
    }

    @Test("At SIGHUP the configured file is read again; if it is corrupt, the model before serves on")
    func reload() async throws {
        let folder = try ModelFolder()
        try await RunningService.serve(["--model", folder.configured]) { service async throws in
            try Data(folder.bytes("b")).write(to: URL(filePath: folder.configured), options: .atomic)
            service.run.signal(SIGHUP)
            #expect(try await eventually { try await service.active()["name"] as? String == "b" })
            try Data("hello".utf8).write(to: URL(filePath: folder.configured), options: .atomic)
            service.run.signal(SIGHUP)
            #expect(await eventually { service.log.lines.contains { $0.contains("not reloaded") } })
            #expect(try await service.active()["name"] as? String == "b")
        }
    }
}
