import FlowModel
import Tensor
import TestFixtures
import Testing

@testable import Training

@Suite("A batch of flow matching")
struct FlowMatchingBatchTests {
    private static let size = 48
    private static let count = 32

    private static func images(_ seed: UInt64 = 1) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return generator.floats(count * size)
    }

    private static func batch(
        _ coupling: ProbabilityPath, shown: Int? = nil, seed: UInt64 = 1, step: Int = 0,
        use: FlowMatchingBatch.Use = .training, workers: Int = 2
    ) -> FlowMatchingBatch {
        FlowMatchingBatch(
            images: images(), count: count, shown: shown, flow: .path(coupling), seed: seed, step: step, use: use,
            pool: WorkerPool(count: workers))
    }

    private static func row(_ values: [Float], _ n: Int) -> ArraySlice<Float> { values[(n * size)..<((n + 1) * size)] }

    /// The noise and image behind the n-th state, solved for from state and velocity.
    private static func ends(_ batch: FlowMatchingBatch, _ n: Int, _ path: ProbabilityPath) -> (
        noise: [Float], image: [Float]
    ) {
        let (x, u, t) = (row(batch.states, n), row(batch.targets, n), batch.times[n])
        let pairs = zip(x, u).map { x, u -> (Float, Float) in
            guard path == .gvp else { return (x - t * u, x + (1 - t) * u) }
            let (s, c, rate) = (Self.sine(t), Self.cosine(t), u * 2 / Float.pi)
            return (s * x + c * rate, c * x - s * rate)
        }
        return (pairs.map(\.0), pairs.map(\.1))
    }

    private static func sine(_ t: Float) -> Float { Interpolation(.gvp, at: t).state.noise }
    private static func cosine(_ t: Float) -> Float { Interpolation(.gvp, at: t).state.image }

    @Test(
        "Paths begin and end where they should, and their velocity is their derivative",
        arguments: ProbabilityPath.allCases)
    func paths(path: ProbabilityPath) {
        let (start, end) = (Interpolation(path, at: 0), Interpolation(path, at: 1))
        let (noise, image) = path == .gvp ? (end, start) : (start, end)
        #expect(abs(noise.state.noise - 1) < 1e-6 && abs(noise.state.image) < 1e-6)
        #expect(abs(image.state.image - 1) < 1e-6 && abs(image.state.noise) < 1e-6)
        for t in [Float(0.2), 0.5, 0.9] {
            let (before, after) = (Interpolation(path, at: t - 0.01), Interpolation(path, at: t + 0.01))
            let velocity = Interpolation(path, at: t).target
            #expect(abs((after.state.noise - before.state.noise) / 0.02 - velocity.noise) < 1e-3)
            #expect(abs((after.state.image - before.state.image) / 0.02 - velocity.image) < 1e-3)
        }
    }

    @Test("A share of a batch has pairs of the whole batch's plan, or images spread over it", arguments: [1, 3, 8, 32])
    func share(shown: Int) {
        let (some, all) = (Self.batch(.otcfm, shown: shown), Self.batch(.otcfm))
        #expect(some.times == Array(all.times.prefix(shown)))
        #expect(some.states.elementsEqual(all.states.prefix(shown * Self.size)))
        #expect(some.targets.elementsEqual(all.targets.prefix(shown * Self.size)))
        let independent = Self.batch(.icfm, shown: shown)
        for n in 0..<shown {
            let image = Self.row(Self.images(), n * Self.count / shown)
            let found = Self.ends(independent, n, .icfm).image
            #expect(zip(found, image).allSatisfy { abs($0 - $1) < 1e-4 })
        }
        let parts = [0..<7, 7..<8, 8..<32].map { some.pairs(of: $0, among: Self.count) }
        #expect(parts.flatMap(Array.init) == Array(0..<shown))
    }

    @Test(
        "A published flow in t is learnt at its own times, in the direction of its time",
        arguments: [(1, 0.001), (0, 1)])
    func publishedFlow(data: Double, noise: Double) {
        let flow = Flow.parametrised(
            ParametrisedFlow(prediction: .velocity, times: .uniform(data: data, noise: noise), timeScale: 999))
        for fraction in [Float(0), 0.25, 0.9] {
            let path = TrainingTimes(flow).point(fraction, normal: 0)
            let time = Float(noise + (data - noise) * Double(fraction))
            #expect(abs(path.label - 999 * time) < 1e-3)
            let share = data == 1 ? time : 1 - time
            #expect(abs(path.state.image - share) < 1e-6 && abs(path.state.noise - (1 - share)) < 1e-6)
            #expect(path.target == (data == 1 ? (-1, 1) : (1, -1)))
        }
    }

    /// Flows of noise levels, and the network's answer to image + σ·noise by the definition of what it predicts.
    static let predictions:
        [(prediction: Prediction, answer: @Sendable (_ image: Double, _ noise: Double, _ sigma: Double) -> Double)] = [
            (.epsilon, { _, noise, _ in noise }), (.vp, { _, noise, _ in noise }), (.ve, { _, noise, _ in -noise }),
            (.sample, { image, _, _ in image }),
            (.v, { image, noise, sigma in (noise - sigma * image) / (1 + sigma * sigma).squareRoot() }),
            // The image is c_skip·x + c_out·F (Karras et al. 2022, table 1).
            (
                .edm,
                { image, noise, sigma in
                    let variance = sigma * sigma + 0.25
                    return (image - 0.25 / variance * (image + sigma * noise)) * variance.squareRoot() / (sigma * 0.5)
                }
            ),
            (
                .edmReversed,
                { image, noise, sigma in
                    let variance = sigma * sigma + 0.25
                    return -(image - 0.25 / variance * (image + sigma * noise)) * variance.squareRoot() / (sigma * 0.5)
                }
            ),
        ]

    @Test("The network of a published diffusion is to answer what it predicts", arguments: predictions.indices)
    func answers(index: Int) {
        let (prediction, answer) = Self.predictions[index]
        let flow = ParametrisedFlow(
            prediction: prediction,
            times: .noise(
                [.epsilon, .v, .sample].contains(prediction)
                    ? .timesteps(.linear(count: 1000, start: 1e-4, end: 0.02))
                    : .levels(smallest: 0.002, largest: 80, rho: 7)))
        for sigma in [0.05, 0.7, 12] {
            let path = Interpolation(flow, at: sigma, time: flow.time(at: sigma, levels: flow.noiseLevels))
            let (image, noise) = (0.6, -1.3)
            let point = flow.point(at: sigma, time: flow.time(at: sigma, levels: flow.noiseLevels))
            let (state, target) = (
                Double(path.state.image) * image + Double(path.state.noise) * noise,
                Double(path.target.image) * image + Double(path.target.noise) * noise
            )
            #expect(abs(state - point.c * (image + sigma * noise)) < 1e-5)
            #expect(abs(target - answer(image, noise, sigma)) < 2e-5 * max(1, 1 / sigma), "σ \(sigma)")
            #expect(path.label == Float(point.label))
        }
        let times = TrainingTimes(.parametrised(flow))
        let random = CounterGenerator(seed: 1, purpose: .times, step: 0)
        let points = (0..<200).map { times.point(random.uniform($0), normal: random.normal($0)) }
        #expect(Set(points.map(\.label)).count > 100 && points.allSatisfy { $0.state.noise.isFinite })
    }

    @Test(
        "Independent couplings keep every image at its place and give it normal noise",
        arguments: [ProbabilityPath.icfm, .gvp])
    func independent(path: ProbabilityPath) {
        let batch = Self.batch(path)
        var (sum, squares) = (0.0, 0.0)
        for n in 0..<Self.count {
            let (noise, image) = Self.ends(batch, n, path)
            for (found, expected) in zip(image, Self.row(Self.images(), n)) { #expect(abs(found - expected) < 1e-5) }
            sum += noise.reduce(0) { $0 + Double($1) }
            squares += noise.reduce(0) { $0 + Double($1) * Double($1) }
        }
        let total = Double(Self.count * Self.size)
        #expect(abs(sum / total) < 0.1 && abs(squares / total - 1) < 0.1)
        #expect(batch.times.allSatisfy { (0..<1).contains($0) } && Set(batch.times).count == Self.count)
    }

    @Test("Optimal transport draws pairs of one plan, which no exchange of partners makes shorter")
    func transport() {
        let batch = Self.batch(.otcfm)
        let images = (0..<Self.count).map { Array(Self.row(Self.images(), $0)) }
        var partner: [Int: [Float]] = [:]
        for n in 0..<Self.count {
            let (noise, image) = Self.ends(batch, n, .otcfm)
            let index = images.firstIndex { zip($0, image).allSatisfy { abs($0 - $1) < 1e-4 } }
            guard let index else {
                Issue.record("the image of pair \(n) is not one of the batch")
                continue
            }
            if let known = partner[index] {
                #expect(zip(known, noise).allSatisfy { abs($0 - $1) < 1e-4 }, "image \(index) has two partners")
            }
            partner[index] = noise
        }
        // Drawn with replacement: of 32 about 20 are different.
        #expect((12...28).contains(partner.count))
        func distance(_ a: [Float], _ b: [Float]) -> Float {
            zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        }
        for (i, x) in partner {
            for (j, y) in partner where i < j {
                let kept = distance(x, images[i]) + distance(y, images[j])
                #expect(kept <= distance(x, images[j]) + distance(y, images[i]) + 1e-2)
            }
        }
    }

    @Test(
        "The same seed, step and use give the same bits with any number of workers, others give others",
        arguments: ProbabilityPath.allCases)
    func determinism(path: ProbabilityPath) {
        let batch = Self.batch(path)
        let again = Self.batch(path, workers: 3)
        #expect(again.states == batch.states && again.targets == batch.targets && again.times == batch.times)
        for other in [Self.batch(path, seed: 2), Self.batch(path, step: 1), Self.batch(path, use: .validation)] {
            #expect(other.times != batch.times && other.states != batch.states)
        }
    }
}
