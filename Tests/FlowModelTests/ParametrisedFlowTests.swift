import FlowModel
import JSON
import ModelFixtures
import Testing

@Suite("A parametrised flow")
struct ParametrisedFlowTests {
    private func isClose(_ x: Double, _ y: Double, _ tolerance: Double = 1e-9) -> Bool {
        abs(x - y) <= tolerance * max(abs(x), abs(y), 1e-3)
    }

    @Test("has the scalars that the reference's formulas give", arguments: FamilyFixture.all)
    func scalars(fixture: FamilyFixture) {
        let (flow, grid) = (fixture.parametrisedFlow, fixture.grid)
        for i in grid.time.indices {
            let point = flow.point(at: grid.s[i], time: grid.time[i])
            #expect(isClose(point.a, grid.a[i]) && isClose(point.b, grid.b[i]) && isClose(point.c, grid.c[i]), "\(i)")
            #expect(isClose(point.label, grid.tau[i]), "\(i)")
            #expect(isClose(flow.time(at: grid.s[i], levels: flow.noiseLevels), grid.time[i], 1e-7), "\(i)")
        }
    }

    static let levels: [(NoiseSchedule.Betas, [Int: Double])] = [
        (.linear(count: 1000, start: 1e-4, end: 0.02), [0: 0.0100005000375, 500: 3.44296711253, 929: 79.53646697]),
        (.cosine(count: 1000), [1: 0.00935049283562, 750: 2.44627915405, 990: 71.29119807]),
        (.scaledLinear(count: 1000, start: 0.00085, end: 0.012), [10: 0.0982910743813, 999: 14.6146412293]),
        (.cosine(count: 4000), [40: 0.0255677074815, 3966: 77.77303081]),
        (.linear(count: 4000, start: 0.25e-4, end: 0.005), [1000: 0.954788811897, 3730: 79.9709991]),
    ]

    @Test("ends at the last timestep whose noise level is at most 80", arguments: levels)
    func noiseLevels(betas: NoiseSchedule.Betas, expected: [Int: Double]) {
        let levels = NoiseLevels(betas).values
        for (step, level) in expected { #expect(isClose(levels[step], level), "\(step)") }
        #expect(levels.count == expected.keys.max()! + 1)
        let flow = ParametrisedFlow(prediction: .epsilon, times: .noise(.timesteps(betas)))
        let grid = flow.grid(count: 17)
        #expect(grid[0].time == 0 && grid[16].time == Double(levels.count - 1))
        #expect(zip(grid, grid.dropFirst()).allSatisfy { $0.s < $1.s })
    }

    @Test("of EDM has the published grid")
    func karras() {
        let flow = ParametrisedFlow(
            prediction: .edm, times: .noise(.levels(smallest: 0.002, largest: 80, rho: 7)))
        let grid = flow.grid(count: 18).map(\.s)
        for (i, level) in [0: 0.002, 1: 0.007528019963, 9: 3.25682152, 17: 80] {
            #expect(isClose(grid[i], level), "\(i)")
        }
    }

    @Test(
        "of VP labels times as the published preconditioning",
        arguments: [(0.002, 0.0398021334), (0.5, 144.66910562), (80, 932.577632097)])
    func variancePreserving(sigma: Double, label: Double) {
        let flow = ParametrisedFlow(prediction: .vp, times: .noise(.levels(smallest: 0.002, largest: 80, rho: 7)))
        #expect(isClose(flow.point(at: sigma, time: sigma).label, label, 1e-8))
    }

    @Test("is the same after it is written and read", arguments: FamilyFixture.all)
    func coding(fixture: FamilyFixture) throws {
        var configuration = ConfigurationValidationTests.valid()
        configuration.flow = .parametrised(fixture.parametrisedFlow)
        configuration.grid.cutoff = nil
        let document = try JSONCoder.encode(configuration)
        let read = try JSONCoder.decode(ModelConfiguration.self, from: document)
        try read.validate()
        #expect(read.flow == configuration.flow)
        #expect(read.formatVersion == 2)
    }

    static let refused: [(field: String, flow: ParametrisedFlow)] = [
        ("flow.schedule", ParametrisedFlow(prediction: .epsilon, times: .uniform(data: 0, noise: 1))),
        ("flow.schedule", ParametrisedFlow(prediction: .velocity, times: .uniform(data: 0, noise: 0.25))),
        ("flow.schedule", ParametrisedFlow(prediction: .velocity, times: .uniform(data: 0, noise: .nan))),
        ("flow.schedule", ParametrisedFlow(prediction: .edm, times: .noise(.timesteps(.cosine(count: 1000))))),
        ("flow.schedule", ParametrisedFlow(prediction: .v, times: .noise(.timesteps(.cosine(count: 1))))),
        ("flow.schedule", ParametrisedFlow(prediction: .v, times: .noise(.timesteps(.cosine(count: .max))))),
        ("flow.schedule", ParametrisedFlow(prediction: .v, times: .noise(.timesteps(.given([0.1, -0.1]))))),
        ("flow.schedule", ParametrisedFlow(prediction: .v, times: .noise(.timesteps(.given([0.99999, 0.1]))))),
        ("flow.schedule", ParametrisedFlow(prediction: .v, times: .noise(.timesteps(.given([0, 0.1]))))),
        ("flow.schedule", ParametrisedFlow(prediction: .v, times: .noise(.levels(smallest: 0.1, largest: 1, rho: 7)))),
        ("flow.schedule", ParametrisedFlow(prediction: .ve, times: .noise(.levels(smallest: 0, largest: 1, rho: 7)))),
        ("flow.schedule", ParametrisedFlow(prediction: .ve, times: .noise(.levels(smallest: 90, largest: 99, rho: 7)))),
        ("flow.schedule", ParametrisedFlow(prediction: .ve, times: .noise(.levels(smallest: 1, largest: 2, rho: 0)))),
        (
            "flow.timeScale",
            ParametrisedFlow(prediction: .velocity, times: .uniform(data: 1, noise: 0), timeScale: .infinity)
        ),
    ]

    @Test("that can't be computed is refused, naming the field", arguments: refused.indices)
    func mistakes(index: Int) {
        let mistake = Self.refused[index]
        var configuration = ConfigurationValidationTests.valid()
        configuration.flow = .parametrised(mistake.flow)
        let error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
        #expect(error?.field == mistake.field)
    }
}
