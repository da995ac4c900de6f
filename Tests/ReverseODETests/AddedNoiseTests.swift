import FlowModel
import TestFixtures
import Testing

@testable import ReverseODE

@Suite("Taps that are reached by adding noise")
struct AddedNoiseTests {
    private static let noise = GenerationNoise(seed: 3)

    @Test(
        "Where a state has no noise, taps read what the flow reads at the image",
        arguments: ["icfm32", "otcfm32-cutoff", "gvp64-cutoff"])
    func withoutNoise(name: String) throws {
        let golden = try GoldenModel(name)
        let model = golden.model
        try #require(model.configuration.flow.shares(at: Double(model.grid.times[0])).noise == 0)
        let taps = try ["middle", "pooled"].map { try model.resolve(Tap(parsing: "\(model.grid.times[0])/\($0)")) }
        let inputs = try (0..<3).map(golden.input)
        let integrator = golden.integrator(capacity: 2)
        let found = integrator.features(
            of: inputs.enumerated().map { ($1, Self.noise.numbers(ofImage: $0, count: $1.count)) }, taps: taps)
        for (input, values) in zip(inputs, found) {
            var pass = [integrator.trajectory(input: input, taps: taps, wantsLogits: false)]
            integrator.run(&pass)
            #expect(values == pass[0].features)
        }
    }

    @Test("A state is the image and the noise in the shares that training mixes at that point")
    func mixture() throws {
        let golden = try GoldenModel("icfm32")
        let (model, input) = (golden.model, try golden.input(0))
        let last = model.grid.steps - 1
        let taps = try ["end/state", "\(model.grid.times[last])/state", "\(model.grid.times[last])/middle"].map {
            try model.resolve(Tap(parsing: $0))
        }
        let noise = Self.noise.numbers(ofImage: 7, count: input.count)
        let found = golden.integrator(capacity: 1).features(of: [(input, noise)], taps: taps)[0]
        #expect(found[0] == noise)
        let time = model.grid.times[last]
        #expect(found[1] == zip(input, noise).map { Float(Double(time)) * $0 + Float(1 - Double(time)) * $1 })
        #expect(found[2].count == taps[2].dimension && found[2].allSatisfy(\.isFinite))
    }

    @Test(
        "Shares of noise and image, by the flow's definition",
        arguments: [
            (Flow.path(.icfm), 0.25, (0.75, 0.25)), (.path(.otcfm), 1, (0, 1)), (.path(.gvp), 0, (0, 1)),
            (.parametrised(.init(prediction: .velocity, times: .uniform(data: 0, noise: 1))), 0.25, (0.25, 0.75)),
            (.parametrised(.init(prediction: .velocity, times: .uniform(data: 1, noise: 0))), 0.25, (0.75, 0.25)),
            (
                .parametrised(.init(prediction: .edm, times: .noise(.levels(smallest: 0.002, largest: 80, rho: 7)))),
                0.5, (0.5, 1)
            ),
        ])
    func shares(flow: Flow, s: Double, expected: (Double, Double)) {
        let found = flow.shares(at: s)
        #expect(found.noise == expected.0 && found.image == expected.1)
    }
}
