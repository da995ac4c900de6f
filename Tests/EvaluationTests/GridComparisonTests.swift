import FlowModel
import ReverseODE
import Testing

@testable import Evaluation

@Suite("Grids to compare")
struct GridComparisonTests {
    private func configuration(_ flow: Flow, _ grid: TimeGridConfiguration) -> ModelConfiguration {
        ModelConfiguration(
            name: "tiny",
            architecture: UNetArchitecture(
                modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [], heads: 1,
                imageSize: 16),
            head: nil, flow: flow, grid: grid, preprocessing: .reference(imageSize: 16))
    }

    static let flows: [(Flow, TimeGridConfiguration)] = [
        (.path(.icfm), TimeGridConfiguration(count: 17)), (.path(.otcfm), TimeGridConfiguration(count: 9, cutoff: 4)),
        (.path(.gvp), TimeGridConfiguration(count: 13, cutoff: 7)),
        (
            .parametrised(
                ParametrisedFlow(prediction: .edm, times: .noise(.levels(smallest: 0.002, largest: 80, rho: 7)))),
            TimeGridConfiguration(count: 19, cutoff: 10)
        ),
    ]

    @Test("cover the interval of the model's own, the cheapest first, its own among them", arguments: flows.indices)
    func interval(index: Int) throws {
        let (flow, own) = Self.flows[index]
        let configuration = configuration(flow, own)
        let expected = TimeGrid(configuration)
        let candidates = GridComparison.candidates(for: configuration, evaluations: 32)
        #expect(candidates.contains { $0.grid == own })
        var last = 0
        for candidate in candidates {
            try candidate.grid.validate(on: flow)
            let grid = TimeGrid(candidate.grid, of: flow)
            #expect(grid.steps == candidate.steps)
            for (point, wanted) in [(grid.points[0], expected.points[0]), (grid.points.last!, expected.points.last!)] {
                #expect(abs(point - wanted) <= 1e-4 * max(1, abs(wanted)), "\(candidate)")
            }
            let evaluations = candidate.steps * candidate.solver.evaluationsPerStep
            #expect(evaluations >= last && evaluations <= 32)
            last = evaluations
        }
    }
}
