import FlowModel
import Foundation
import HTTPServer
import TestBench
import TestFixtures
import Testing

@Suite("The running service's end", .timeLimit(.minutes(20)))
struct LifeCycleTests {
    /// A tiny model whose pass takes `steps` evaluations.
    private static func model(_ scratch: Scratch, steps: Int) throws -> String {
        let path = scratch.path("slow.safetensors")
        try TinyModel.write(TinyModel.configuration(name: "slow", points: steps + 1), to: path, seed: 1, scale: 0.02)
        return path
    }

    /// Connections on which all but the last byte of a request has been sent.
    private static func poised(_ count: Int, port: Int) async throws -> [RawClient] {
        let request = PortClient.request("POST", "/embed", body: sampleImage)
        return try await offPool {
            try (0..<count).map { _ in
                let client = try RawClient(port: port)
                client.send(request.dropLast())
                return client
            }
        }
    }

    /// Completes the requests of poised clients and waits until the service has taken them all in: most of them are then in
    /// flight, for as long as the engine takes for them one by one.
    private static func complete(_ clients: [RawClient], _ service: RunningService) async throws {
        for client in clients { client.send(Array(sampleImage.suffix(1))) }
        let answered = #"headwater_requests_total{method="POST",route="/embed",status="200"}"#
        #expect(
            try await eventually {
                let images = try await service.images()
                let done = (try? await service.metric(answered)) ?? 0
                return Int(images + done) >= clients.count
            })
    }

    @Test(
        "Told to stop amid 50 requests: not ready at once, accepting for the delay, all are answered, and the status is 0",
        arguments: [SIGTERM, SIGINT])
    func drains(signal: Int32) async throws {
        let scratch = try Scratch()
        let arguments = [
            "--model", try Self.model(scratch, steps: 10), "--max-batch", "1", "--max-wait", "1h", "--drain-delay",
            "20s",
        ]
        try await RunningService.serve(arguments) { service async throws in
            let clients = try await Self.poised(50, port: service.client.port)
            try await Self.complete(clients, service)
            service.run.signal(signal)
            #expect(
                try await eventually {
                    try await service.admin.ask("GET", "/health/ready").code == "stopping"
                })
            #expect(try await service.client.ask("POST", "/embed", body: sampleImage).status == 200, "a newcomer")
            let statuses = try await offPool { try clients.map { try $0.response().status } }
            #expect(statuses == Array(repeating: 200, count: 50))
            #expect(await service.end() == .exited(status: 0))
            #expect(service.log.line("stopped")?["complete"] as? Bool == true)
            #expect(throws: RawClient.Failure.self) { try RawClient(port: service.client.port) }
        }
    }

    @Test("Once the delay is over no connection is accepted, while a request half sent until then is still answered")
    func refusesNewcomers() async throws {
        let scratch = try Scratch()
        try await RunningService.serve(["--model", try Self.model(scratch, steps: 3)]) { service async throws in
            let client = try await Self.poised(1, port: service.client.port)[0]
            // A later connection's answer tells that this one has been accepted as well.
            #expect(try await service.client.ask("GET", "/health/ready").status == 200)
            service.run.signal(SIGTERM)
            #expect(await eventually { (try? RawClient(port: service.client.port)) == nil })
            #expect(!service.run.hasEnded)
            client.send(Array(sampleImage.suffix(1)))
            #expect(try await offPool { try client.response().status } == 200)
            #expect(await service.end() == .exited(status: 0))
        }
    }

    @Test("What isn't finished within --drain-timeout is answered 503, and the status says so")
    func drainTimeout() async throws {
        let scratch = try Scratch()
        let arguments = [
            "--model", try Self.model(scratch, steps: 60), "--max-batch", "1", "--max-wait", "1h",
            "--drain-timeout", "50ms",
        ]
        try await RunningService.serve(arguments) { service async throws in
            let clients = try await Self.poised(60, port: service.client.port)
            try await Self.complete(clients, service)
            service.run.signal(SIGTERM)
            let statuses = try await offPool { try clients.map { try $0.response().status } }
            #expect(statuses.contains(503) && Set(statuses).isSubset(of: [200, 503]), "\(statuses)")
            #expect(await service.end() == .exited(status: 70))
            #expect(service.log.line("stopped")?["complete"] as? Bool == false)
        }
    }

    @Test(
        "A second signal within a second of the first changes nothing; a later one ends the process at once",
        arguments: [SIGTERM, SIGINT])
    func secondSignal(signal: Int32) async throws {
        let scratch = try Scratch()
        let arguments = ["--model", try Self.model(scratch, steps: 3), "--drain-delay", "3600s"]
        try await RunningService.serve(arguments) { service async throws in
            service.run.signal(SIGTERM)
            service.run.signal(signal)
            #expect(await eventually { service.log.line("stopping") != nil })
            #expect(!service.run.hasEnded)
            #expect(await Self.hasEnded(service.run, repeating: signal))
            #expect(await service.end() == .exited(status: 70))
        }
    }

    /// Repeats a signal until it ends the process: the second in which it changes nothing goes by meanwhile.
    private static func hasEnded(_ run: BuiltProgram.Run, repeating signal: Int32) async -> Bool {
        await eventually {
            run.signal(signal)
            return run.hasEnded
        }
    }

    @Test("Told to stop before its model is loaded, it ends with 0 at once")
    func stopsWhileStarting() async throws {
        let (run, errors) = try BuiltProgram.start(
            ["serve", "--port", "0", "--admin-port", "0", "--log-format", "json"])
        let log = ServiceLog(reading: errors)
        #expect(await eventually { log.line("computing") != nil || run.hasEnded })
        // Should this machine be so fast that the model is loaded by now, it drains, to the same end.
        run.signal(SIGTERM)
        #expect(await eventually { run.hasEnded }, "\(log.lines)")
        run.signal(SIGKILL)
        #expect(await run.wait() == .exited(status: 0))
        #expect(await eventually { log.line("stopped")?["complete"] as? Bool == true })
    }

    @Test(
        "With too little address space to start, commands end by themselves, no matter which thread or buffer is refused",
        arguments: [
            ["serve", "--port", "0", "--admin-port", "0", "--log-format", "json"],
            ["embed", TestFixtures.path("images/rgb-32x32.jpg"), "-o", "/dev/null"],
        ])
    func startsWithoutMemory(arguments: [String]) async throws {
        // Newer distributions' libraries take the smaller ones before the program begins.
        let kibibytes = [
            100_000, 120_000, 140_000, 180_000, 200_000, 240_000, 280_000, 340_000, 400_000, 480_000, 560_000,
        ]
        let endings = try await withThrowingTaskGroup(of: (Int, BuiltProgram.Ending).self) { group in
            for limit in kibibytes {
                group.addTask {
                    let (run, errors) = try BuiltProgram.start(arguments, after: "ulimit -v \(limit)")
                    let log = ServiceLog(reading: errors)
                    // Where the machine has so few processors that it is enough, it is told to stop, and must.
                    _ = await eventually { run.hasEnded || log.line("ready") != nil }
                    run.signal(SIGTERM)
                    #expect(await eventually { run.hasEnded }, "\(limit) KiB: \(log.lines)")
                    run.signal(SIGKILL)
                    return (limit, await run.wait())
                }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        #expect(endings.values.contains(.exited(status: 69)), "\(endings)")
    }

    @Test("After thousands of aborted requests trajectories, connections, descriptors and memory are where they were")
    func aborts() async throws {
        let scratch = try Scratch()
        let model = isLong ? [] : ["--model", try Self.model(scratch, steps: 30)]
        try await RunningService.serve(model + ["--max-connections", "4000"]) { service async throws in
            // The first ones bring what stays: threads, buffers, the allocator's arenas.
            try await Self.abort(isLong ? 10_000 : 200, port: service.client.port)
            #expect(try await service.settles(descriptors: 60))
            let before = (memory: try await service.settledMemory(), descriptors: try service.descriptors())
            try await Self.abort(isLong ? 10_000 : 600, port: service.client.port)
            #expect(try await service.settles(descriptors: before.descriptors))
            #expect(try await service.client.ask("POST", "/embed", body: sampleImage).status == 200)
            let after = try await service.settledMemory()
            let abandoned = try await service.metric("headwater_requests_abandoned_total")
            #expect(abandoned > 0)
            if isLong {
                print("10,000 aborts, \(Int(abandoned)) abandoned at work: \(before.memory) KiB before, \(after) after")
            }
            #expect(Double(after) < Double(before.memory) * (isLong ? 1.05 : 1.25), "\(before.memory) to \(after) KiB")
        }
    }

    /// Clients that give up in eight ways: with the head or the body half sent, or all of it, by FIN or by RST.
    private static func abort(_ count: Int, port: Int) async throws {
        let request = PortClient.request("POST", "/embed", body: sampleImage)
        let ends = [10, request.count - 100, request.count, request.count]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    try await offPool {
                        for index in 0..<(count / 4) {
                            let client = try RawClient(port: port)
                            client.send(Array(request.prefix(ends[index % 4])))
                            if (index / 4 + worker) % 2 == 0 { client.reset() }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
