import Console
import FeatureService
import ImagePipeline
import LoadGeneration
import Tensor

/// Measures a model as it is served: the engine alone, the closed loop that fills its batches, and open loads, with each
/// way of batching. Everything is measured in short turns one after the other, round after round, so that what else the
/// machine does meets all alike.
@MainActor
package struct ServedBenchmark {
    package struct Plan: Sendable {
        package var batchings: [BatchingMode] = [.step, .request]
        /// Open loads as shares of the capacity.
        package var loads = [0.3, 0.6, 0.9, 1.5]
        package var clients = 16
        /// Of a turn.
        package var seconds = 5.0
        package var rounds = 3
        package var batchLimit = 8
        /// The most images that may wait.
        package var queueLimit = 1024

        package init() {}
    }

    /// The share of each turn that isn't counted, in which queues fill.
    private static let settling = 0.2

    private let plan: Plan
    private let served: ServedModel
    private let computation: Computation
    private let image: [UInt8]
    private let serviceArguments: [String]

    /// - Parameters:
    ///   - image: the file that is posted; nil for a small PNG of gradients and noise.
    ///   - serviceArguments: what every service of this program is started with.
    package init(
        _ plan: Plan, served: ServedModel, on computation: Computation, image: [UInt8]?, serviceArguments: [String]
    ) throws {
        self.plan = plan
        self.served = served
        self.computation = computation
        self.image = try image ?? Self.builtInImage(side: served.model.side)
        self.serviceArguments = serviceArguments
    }

    private struct Cell: Hashable {
        let batching: BatchingMode
        let load: Double?
    }

    private struct Turn {
        let result: LoadResult
        /// What the service used.
        let processorSeconds: Double
    }

    /// How many turns of the plan's seconds it takes.
    package var turns: Int { plan.rounds * (3 + plan.batchings.count * (1 + plan.loads.count)) }

    /// Measures.
    ///
    /// - Parameter progress: told how many turns have ended.
    package func run(progress: (Int) -> Void) throws -> ServedReport {
        let services = try plan.batchings.map { mode in
            (mode, try ServiceProcess(arguments: serviceArguments + ["--batching", mode.rawValue]))
        }
        defer { for (_, service) in services { service.stop() } }
        var engine = EngineThroughput(served: served, batch: plan.batchLimit, on: computation)
        var results: [Cell: [Turn]] = [:]
        var capacities: [Double] = []
        var full: [LoadResult] = []
        var pairs: [LoadResult] = []
        var ended = 0
        func measure(_ cell: Cell, _ load: Load, on service: ServiceProcess) throws -> LoadResult {
            let request = LoadGenerator.post("/embed", type: "application/octet-stream", body: image)
            let processorBefore = service.processorSeconds
            let result = try LoadGenerator(port: service.port, request: request).run(load)
            let turn = Turn(result: result, processorSeconds: service.processorSeconds - processorBefore)
            results[cell, default: []].append(turn)
            ended += 1
            progress(ended)
            return result
        }
        for (_, service) in services { try warmUp(service) }
        for round in 0..<plan.rounds {
            try engine.measure(seconds: plan.seconds)
            ended += 1
            progress(ended)
            for (mode, service) in services {
                let closed = Load.closed(clients: plan.clients, duration: plan.seconds)
                let result = try measure(Cell(batching: mode, load: nil), closed, on: service)
                guard capacities.count == round else { continue }
                // Some throughput, so that it can be shared: a turn may be too short for a single answer.
                capacities.append(max(LoadSummary([result], settling: Self.settling).answered, 1 / plan.seconds))
            }
            full.append(try fullRequests(clients: 1, on: services[0].1))
            pairs.append(try fullRequests(clients: 2, on: services[0].1))
            ended += 2
            progress(ended)
            for load in plan.loads {
                // The same arrivals for each way of batching.
                let arrivals = ArrivalSchedule(
                    poisson: load * capacities[round], duration: plan.seconds, seed: UInt64(round) + 1)
                for (mode, service) in services {
                    _ = try measure(Cell(batching: mode, load: load), .open(arrivals), on: service)
                }
            }
        }
        return report(
            engine, results, capacities: capacities, fullRequests: LoadSummary(full, settling: Self.settling).latencies,
            pairShares: zip(pairs, engine.rounds).map { result, alone in
                LoadSummary([result], settling: Self.settling).answered * Double(fullRequestImages) / alone
            })
    }

    /// As many as a batch and a request may hold.
    private var fullRequestImages: Int { min(plan.batchLimit, 32) }

    /// Clients that send as many images a request as a batch holds, as a form, and wait for the answer.
    private func fullRequests(clients: Int, on service: ServiceProcess) throws -> LoadResult {
        let boundary = "headwater"
        let part = Array(
            "--\(boundary)\r\nContent-Disposition: form-data; name=\"image\"; filename=\"image\"\r\n\r\n".utf8)
        var body: [UInt8] = []
        for _ in 0..<fullRequestImages { body += part + image + Array("\r\n".utf8) }
        let request = LoadGenerator.post(
            "/embed", type: "multipart/form-data; boundary=\(boundary)", body: body + Array("--\(boundary)--\r\n".utf8))
        return try LoadGenerator(port: service.port, request: request).run(
            .closed(clients: clients, duration: plan.seconds))
    }

    /// The first requests meet cold caches, and an image that the service refuses should fail the command now.
    private func warmUp(_ service: ServiceProcess) throws {
        let request = LoadGenerator.post("/embed", type: "application/octet-stream", body: image)
        let result = try LoadGenerator(port: service.port, request: request).run(
            .closed(clients: plan.batchLimit, duration: min(plan.seconds, 0.5)))
        if let bad = result.samples.first(where: { $0.ending != .answered(200) }) {
            throw CommandFailure(.unusableData, "the service doesn't answer the image as it should: \(bad.ending)")
        }
    }

    private func report(
        _ engine: EngineThroughput, _ results: [Cell: [Turn]], capacities: [Double],
        fullRequests: LoadSummary.Latencies, pairShares: [Double]
    ) -> ServedReport {
        func row(_ mode: BatchingMode, _ load: Double?) -> ServedReport.Row? {
            guard let turns = results[Cell(batching: mode, load: load)] else { return nil }
            let answered = turns.reduce(0) { $0 + $1.result.samples.count { $0.ending == .answered(200) } }
            let processorSeconds = turns.reduce(0) { $0 + $1.processorSeconds }
            return ServedReport.Row(
                batching: mode.rawValue, load: load, summary: LoadSummary(turns.map(\.result), settling: Self.settling),
                processorMilliseconds: processorSeconds * 1000 / Double(max(1, answered)),
                rounds: turns.enumerated().map { round, turn in
                    let summary = LoadSummary([turn.result], settling: Self.settling)
                    return ServedReport.Round(
                        p95: summary.latencies.total.p95, shareOfCapacity: summary.answered / capacities[round],
                        shareOfEngine: summary.answered / engine.rounds[round])
                })
        }
        let closed = plan.batchings.compactMap { row($0, nil) }
        let open = plan.loads.flatMap { load in plan.batchings.compactMap { row($0, load) } }
        return ServedReport(
            model: served.version.name, kernels: computation.kernels.name, workers: computation.pool.count,
            batchLimit: plan.batchLimit,
            queueLimit: plan.queueLimit, clients: plan.clients, seconds: plan.seconds, rounds: plan.rounds,
            imageBytes: image.count, engineImagesPerSecond: engine.imagesPerSecond,
            engineProcessorMilliseconds: engine.processorMilliseconds, fullRequests: fullRequests,
            pairShares: pairShares,
            rows: closed + open)
    }

    /// An image as a client would send it: as large as the model's input, its pixels half gradient, half noise.
    private static func builtInImage(side: Int) throws -> [UInt8] {
        var noise = SplitMix64(state: 1)
        var pixels: [UInt8] = []
        for y in 0..<side {
            for x in 0..<side {
                for channel in 0..<3 {
                    let gradient = (x + y * (channel + 1)) * 255 / (side * (channel + 2))
                    pixels.append(UInt8((gradient + Int.random(in: 0...255, using: &noise)) / 2))
                }
            }
        }
        return try RGBImage(width: side, height: side, pixels: pixels).png()
    }
}
