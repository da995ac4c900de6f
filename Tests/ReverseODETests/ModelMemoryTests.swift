import FlowModel
import Networks
import Tensor
import Testing

@testable import ReverseODE

@Suite("Memory of models, predicted")
struct ModelMemoryTests {
    @Test(
        "It is what the network and its evaluators then hold, or little more", arguments: GoldenModel.names,
        Precision.allCases)
    func foreseen(name: String, precision: Precision) throws {
        let golden = try GoldenModel(name, workers: 2, precision: precision)
        let (program, pool) = (golden.model.field.program, golden.pool)
        let network = NetworkMemory(program, timeCount: golden.model.schedule.evaluations.count, precision: precision)
        let packed = golden.model.field.plans(batch: 1, on: pool).reduce(0) {
            $0 + AlignedBuffer.byteCount(count: $1.plan.weightBytes / MemoryLayout<Float>.stride)
        }
        #expect(network.networkBytes >= packed)
        // Scales and shifts of every time are the rest.
        #expect(network.networkBytes < packed + (1 << 20))
        // bf16 needs a processor that computes it; memory doesn't.
        guard Kernels.best.computes(precision) else { return }
        for capacity in [1, 8] {
            let held = golden.integrator(capacity: capacity).evaluator.byteCount
            let foreseen = network.evaluatorBytes(capacity: capacity, workers: 2)
            #expect(
                foreseen >= held && Double(foreseen) < 1.01 * Double(held) + Double(4 << 20), "\(foreseen) for \(held)")
        }
    }

    /// One with attention to many pixels, which takes more than convolutions, and one whose blocks resample and scale.
    static let architectures: [UNetArchitecture] = {
        let attentive = UNetArchitecture(
            modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [1], heads: 1,
            imageSize: 64)
        var resampling = attentive
        resampling.channelMultipliers = [1, 2, 1]
        resampling.variant.resampling = .residualWithSkip
        resampling.variant.residualScale = 0.5
        resampling.variant.modulation = .additive
        var large = attentive
        large.imageSize = 80
        return [attentive, resampling, large]
    }()

    @Test("Whatever the network has, it is foreseen", arguments: architectures)
    func architecture(architecture: UNetArchitecture) throws {
        let program = try architecture.program()
        let counts = Dictionary(
            uniqueKeysWithValues: program.parameters.map { (ModelFile.key(ofParameter: $0.key), $0.count) })
        let pool = WorkerPool(count: 2)
        let configuration = ModelConfiguration(
            name: "attentive", architecture: architecture, head: nil, path: .icfm,
            grid: TimeGridConfiguration(count: 2),
            preprocessing: PreprocessingConfiguration(
                resizeShorterSide: architecture.imageSize, cropSize: architecture.imageSize, mean: [0.5, 0.5, 0.5],
                standardDeviation: [0.5, 0.5, 0.5]))
        let model = try ReversibleModel(configuration: configuration, pool: pool) { key in
            [Float](repeating: 0, count: try #require(counts[key]))
        }
        let held = ReverseIntegrator(model: model, capacity: 1, kernels: .best, pool: pool).evaluator.byteCount
        let network = NetworkMemory(program, timeCount: model.schedule.evaluations.count, precision: .f32)
        let foreseen = network.evaluatorBytes(capacity: 1, workers: 2)
        #expect(foreseen >= held && Double(foreseen) < 1.01 * Double(held) + Double(4 << 20))
    }

    @Test("A model's peak counts its file while it is packed, or a batch's activations, if these take more")
    func peak() throws {
        let model = try GoldenModel("icfm32").model
        func memory(capacity: Int) throws -> ModelMemory {
            try ModelMemory(model.configuration, precision: .f32, capacity: capacity, workers: 2)
        }
        let (one, many) = (try memory(capacity: 1), try memory(capacity: 64))
        #expect(one.modelBytes == many.modelBytes && one.modelBytes > 0)
        #expect(many.peakBytes(fileBytes: 0) > one.peakBytes(fileBytes: 0))
        #expect(one.peakBytes(fileBytes: 1 << 30) > one.modelBytes + 1 << 30)
        #expect(one.peakBytes(fileBytes: 1 << 30) == many.peakBytes(fileBytes: 1 << 30))
    }
}
