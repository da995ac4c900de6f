import FlowModel
import Networks
import Tensor
import TestFixtures
import Testing

@testable import ReverseODE

/// Keeps the promise that a head reads at its own point of the grid, at the cost of the pass to that point.
@Suite("A head before the end of the grid")
struct HeadPointTests {
    private static let pool = WorkerPool(count: 2)

    private static func configuration(
        _ flow: Flow, points: Int, solver: Solver = .euler, place: ActivationMeans? = nil, point: Int? = nil
    ) -> ModelConfiguration {
        ModelConfiguration(
            name: "early",
            architecture: UNetArchitecture(
                modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 1], attentionDownsampling: [2], heads: 4,
                imageSize: 16),
            head: HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 3, place: place, point: point), flow: flow,
            grid: TimeGridConfiguration(count: points), solver: solver, preprocessing: .reference(imageSize: 16))
    }

    /// A model of random weights, which depend on no grid.
    private static func model(_ configuration: ModelConfiguration) throws -> ReversibleModel {
        try configuration.validate()
        var random = SeededGenerator(seed: 1)
        let parameters = try ModelFile.parameters(of: configuration)
        let weights = Dictionary(
            uniqueKeysWithValues: parameters.map { parameter -> (String, [Float]) in
                let scale = 1 / Float(max(1, parameter.count / parameter.shape[0])).squareRoot()
                return (parameter.key, random.floats(parameter.count).map { $0 * scale })
            })
        return try ReversibleModel(configuration: configuration, pool: pool) { weights[$0]! }
    }

    private static func pass(_ model: ReversibleModel, taps: [ResolvedTap] = []) -> Trajectory {
        let integrator = ReverseIntegrator(model: model, capacity: 1, kernels: .best, pool: pool)
        var random = SeededGenerator(seed: 2)
        var passes = [integrator.trajectory(input: random.floats(model.stateCount), taps: taps, wantsLogits: true)]
        integrator.run(&passes)
        return passes[0]
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let flow: Flow
        let solver: Solver
        let place: ActivationMeans?
        var testDescription: String {
            let name = flow.path?.rawValue ?? flow.parametrised?.prediction.rawValue ?? ""
            return "\(name) \(solver) \(place.map { "\($0)" } ?? "state")"
        }
    }

    static let cases: [Case] = {
        let epsilon = ParametrisedFlow(
            prediction: .epsilon, times: .noise(.timesteps(.linear(count: 100, start: 0.001, end: 0.2))))
        let flows: [Flow] = [.path(.icfm), .path(.gvp), .parametrised(epsilon)]
        return flows.flatMap { flow in
            [(Solver.euler, nil), (.euler, ActivationMeans(.up(0))), (.heun, ActivationMeans(.middle)), (.ab2, nil)].map
            {
                Case(flow: flow, solver: $0.0, place: $0.1)
            }
        }
    }()

    @Test(
        "classifies as the same model whose grid is cut at that point, bit for bit, after as many evaluations",
        arguments: cases)
    func cut(of test: Case) throws {
        let steps = 8
        for point in 1..<steps {
            let early = try Self.model(
                Self.configuration(
                    test.flow, points: steps + 1, solver: test.solver, place: test.place, point: point))
            var cut = Self.configuration(test.flow, points: steps + 1, solver: test.solver, place: test.place)
            cut.grid.cutoff = test.flow.keepsGridBeforeCutoff ? point + 1 : steps - point
            let (found, expected) = (Self.pass(early), Self.pass(try Self.model(cut)))
            let evaluations = point * test.solver.evaluationsPerStep + (test.place == nil ? 0 : 1)
            #expect(found.logits != nil && found.logits == expected.logits, "point \(point)")
            #expect(found.evaluations == evaluations && expected.evaluations == evaluations)
            let extent = PassExtent(taps: [], wantsLogits: true, model: early)
            #expect(
                extent.operations(on: early)
                    == PassExtent(taps: [], wantsLogits: true, model: try Self.model(cut)).operations(on: early))
        }
    }

    @Test(
        "at the image's own point takes one evaluation as far as its place, and none if it reads the state",
        arguments: [ActivationMeans?.none, ActivationMeans(.up(1))])
    func image(place: ActivationMeans?) throws {
        let model = try Self.model(Self.configuration(.path(.icfm), points: 17, place: place, point: 0))
        let pass = Self.pass(model)
        #expect(pass.logits != nil && pass.evaluations == (place == nil ? 0 : 1))
        let extent = PassExtent(taps: [], wantsLogits: true, model: model)
        #expect(extent.operations(on: model) == (place.map { model.operations(through: $0.place) } ?? 0))
    }

    @Test(
        "gives the same logits where the pass goes on, and taps the whole way there and back",
        arguments: [ActivationMeans?.none, ActivationMeans(.up(0))])
    func deepTaps(place: ActivationMeans?) throws {
        let model = try Self.model(Self.configuration(.path(.icfm), points: 9, place: place, point: 2))
        let alone = Self.pass(model)
        let whole = Self.pass(model, taps: try [model.resolve(Tap(time: .end, place: .state))])
        let roundTrip = Self.pass(model, taps: model.roundTripTaps(atMost: 9))
        #expect(alone.logits == whole.logits && alone.logits == roundTrip.logits)
        #expect(whole.evaluations == 8 && roundTrip.evaluations == 16)
        let atEnd = try Self.model(Self.configuration(.path(.icfm), points: 9, place: place))
        #expect(Self.pass(atEnd, taps: atEnd.roundTripTaps(atMost: 9)).features == roundTrip.features)
    }

    @Test("keeps its time on another grid, and a default tap at the end follows it once")
    func movesWithTheGrid() throws {
        var model = Self.configuration(.path(.icfm), points: 9)
        (model.grid.cutoff, model.defaultTap) = (7, "end/middle")
        try model.setGrid(TimeGridConfiguration(count: 17), headAt: .at(0.875))
        #expect(model.head?.point == 2 && model.defaultTap == "0.875/middle" && model.headTime == .at(0.875))
        try model.setGrid(TimeGridConfiguration(count: 33))
        #expect(model.head?.point == 4 && model.defaultTap == "0.875/middle")
        model.defaultTap = "end/pooled"
        try model.setGrid(TimeGridConfiguration(count: 9))
        #expect(model.head?.point == 1 && model.defaultTap == "end/pooled", "it was never at the head")
        // A pass that ends where the head reads.
        try model.setGrid(TimeGridConfiguration(count: 9, cutoff: 7))
        #expect(model.head?.point == nil && model.headTime == .end)
        try model.validate()
    }

    @Test("is refused at a time that the grid lacks, and so is a head time without a head")
    func refusals() throws {
        var model = Self.configuration(.path(.icfm), points: 9, point: 1)
        let lost = #expect(throws: HeadTimeError.self) { try model.setGrid(TimeGridConfiguration(count: 5)) }
        #expect(lost?.description.contains("the head reads at 0.875, and the time 0.875 is not on") == true)
        var bare = Self.configuration(.path(.icfm), points: 9)
        bare.head = nil
        let headless = #expect(throws: HeadTimeError.self) { try bare.setGrid(bare.grid, headAt: .at(0.5)) }
        #expect(headless?.remedy == "leave it out")
        var other = Self.configuration(.path(.icfm), points: 9)
        #expect(throws: HeadTimeError.self) { try other.setGrid(other.grid, headAt: .at(0.9)) }
        #expect(throws: ConfigurationError.self) { try other.setGrid(TimeGridConfiguration(count: 9, cutoff: 8)) }
    }

    @Test("tells its time and what it costs")
    func described() throws {
        func pass(_ configuration: ModelConfiguration) throws -> ModelDescription.Pass {
            try ModelDescription(configuration: configuration, sha256: "0", byteCount: 1, storedType: "F32").pass
        }
        let early = try pass(Self.configuration(.path(.icfm), points: 17, solver: .heun, point: 1))
        #expect(early.headTime == 0.9375 && early.headEvaluations == 2 && early.evaluations == 32)
        let late = try pass(Self.configuration(.path(.icfm), points: 17))
        #expect(late.headTime == 0 && late.headEvaluations == 16)
    }
}
