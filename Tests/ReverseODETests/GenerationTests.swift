import FlowModel
import TestFixtures
import Testing

@testable import ReverseODE

@Suite("From noise or a latent to an image")
struct GenerationTests {
    private func latent(_ image: Int, of model: ReversibleModel) -> [Float] {
        GenerationNoise(seed: 5).numbers(ofImage: image, count: model.stateCount)
    }

    @Test(
        "An image's own latent leads back to the end of its round trip",
        arguments: ["icfm32", "otcfm32-cutoff", "gvp64-cutoff"], [Solver.euler, .heun])
    func wayBack(name: String, solver: Solver) throws {
        let golden = try GoldenModel(name, solver: solver)
        let model = golden.model
        let integrator = golden.integrator(capacity: 1)
        let taps = [model.latentTap, model.imageTap]
        var whole = [integrator.trajectory(input: try golden.input(0), taps: taps, wantsLogits: false)]
        integrator.run(&whole)
        var back = [
            integrator.trajectory(
                input: whole[0].features[0], from: .gridEnd, taps: [model.imageTap], wantsLogits: false)
        ]
        #expect(
            back[0].remainingOperations(model: model)
                == Double(model.evaluationsPerPass) * model.operationsPerEvaluation)
        integrator.run(&back)
        #expect(back[0].features[0] == whole[0].features[1])
        #expect(back[0].evaluations == model.evaluationsPerPass)
    }

    @Test("An image made from noise has the same bits whatever the capacity, the workers and the other images")
    func bits() throws {
        let golden = try GoldenModel("icfm32")
        let noise = GenerationNoise(seed: 11)
        let five = golden.integrator(capacity: 3).images(0..<5, from: noise) {}
        #expect(five == golden.integrator(capacity: 8).images(0..<5, from: noise) {})
        #expect([five[3]] == golden.integrator(capacity: 1).images(3..<4, from: noise) {})
        let others = try GoldenModel("icfm32", workers: 3)
        #expect(five == others.integrator(capacity: 2).images(0..<5, from: noise) {})
        #expect(Set(five).count == 5)
        #expect(five[0] != golden.integrator(capacity: 1).images(0..<1, from: GenerationNoise(seed: 12)) {}[0])
    }

    @Test("An error between two steps ends the work, after which the integrator goes on with other work")
    func ending() throws {
        let golden = try GoldenModel("icfm32")
        let integrator = golden.integrator(capacity: 2)
        var steps = 0
        #expect(throws: CancellationError.self) {
            try integrator.images(0..<2, from: GenerationNoise(seed: 1)) {
                steps += 1
                if steps == 2 { throw CancellationError() }
            }
        }
        #expect(integrator.images(0..<1, from: GenerationNoise(seed: 1)) {}.count == 1)
    }

    @Test(
        "A grid to noise is the model's own if it reaches noise; a head is left out",
        arguments: ProbabilityPath.allCases)
    func grids(path: ProbabilityPath) throws {
        func configuration(_ grid: TimeGridConfiguration) -> ModelConfiguration {
            ModelConfiguration(
                name: "a",
                architecture: UNetArchitecture(
                    modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [], heads: 1,
                    imageSize: 16),
                head: HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 2), path: path, grid: grid,
                preprocessing: .reference(imageSize: 16), labels: ["x", "y"])
        }
        let own = TimeGridConfiguration(count: 5)
        for grid in [own, TimeGridConfiguration(count: 5, cutoff: path == .gvp ? 5 : 0)] {
            let changed = configuration(grid).forGeneration()
            try changed.validate()
            #expect(changed.grid == grid && TimeGrid(changed).reachesNoise && changed.head == nil)
        }
        let cut = configuration(TimeGridConfiguration(count: 9, cutoff: path == .gvp ? 3 : 6))
        #expect(!TimeGrid(cut).reachesNoise)
        #expect(cut.forGeneration().grid == TimeGridConfiguration(count: ModelConfiguration.pointsToNoise))
        let long = configuration(TimeGridConfiguration(count: 100, cutoff: 4))
        #expect(long.forGeneration().grid == TimeGridConfiguration(count: 100))
        let asked = cut.forGeneration(points: 7, solver: .rk4)
        #expect(asked.grid == TimeGridConfiguration(count: 7) && asked.solver == .rk4)
    }
}

@Suite("A way between latents")
struct LatentPathTests {
    private static func latents(_ count: Int, of path: LatentPath) -> [[Float]] {
        (0..<count).map { path.latent(at: Double($0) / Double(count - 1)) }
    }

    private func noise(_ image: Int) -> [Float] { GenerationNoise(seed: 3).numbers(ofImage: image, count: 999) }

    private func length(_ numbers: [Float]) -> Double {
        numbers.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    }

    @Test("begins and ends exactly at the latents, at equal angles, and no shorter between them")
    func sphere() {
        let (start, end) = (noise(0), noise(1))
        let path = LatentPath(from: start, to: end)
        let latents = Self.latents(5, of: path)
        #expect(latents.first == start && latents.last == end)
        let cosines = zip(latents, latents.dropFirst()).map { LatentPath(from: $0, to: $1).cosine }
        #expect(cosines.max()! - cosines.min()! < 0.03)
        let shorter = min(length(start), length(end))
        #expect(latents.allSatisfy { length($0) > 0.99 * shorter })
        #expect(abs(path.cosine) < 0.2)
    }

    @Test("is one point between equal latents, and a line between opposite ones and from zero")
    func degenerate() {
        let one = noise(0)
        #expect(Self.latents(4, of: LatentPath(from: one, to: one)) == [one, one, one, one])
        #expect(LatentPath(from: one, to: one).cosine == 1)
        let opposite = one.map { -$0 }
        let path = Self.latents(3, of: LatentPath(from: one, to: opposite))
        #expect(path[0] == one && path[2] == opposite && path[1].allSatisfy { abs($0) < 1e-6 })
        let zero = [Float](repeating: 0, count: one.count)
        #expect(Self.latents(2, of: LatentPath(from: zero, to: one)) == [zero, one])
    }
}

@Suite("Noise that images are made from")
struct GenerationNoiseTests {
    @Test("depends on the seed and the image, not on how much of it is read")
    func keys() {
        let noise = GenerationNoise(seed: 9)
        let numbers = noise.numbers(ofImage: 4, count: 100)
        #expect(Array(numbers.prefix(7)) == noise.numbers(ofImage: 4, count: 7))
        #expect(numbers != noise.numbers(ofImage: 5, count: 100))
        #expect(numbers != GenerationNoise(seed: 10).numbers(ofImage: 4, count: 100))
        #expect(numbers != GenerationNoise(seed: 9 + 1 << 32).numbers(ofImage: 4, count: 100))
    }
}
