import Differentiation
import FlowModel
import ModelFixtures
import Networks
import ReverseODE
import Tensor
import TestFixtures
import Testing

@testable import Training

@Suite("What fine-tuning differentiates")
struct FineTuningLearnerTests {
    private static func configuration(headAt place: ActivationMeans?) -> ModelConfiguration {
        ModelConfiguration(
            name: "small", architecture: SmallRun.architecture,
            head: HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 2, place: place), path: .icfm,
            grid: TimeGridConfiguration(count: 5, cutoff: 2), preprocessing: .reference(imageSize: 16))
    }

    /// With small random weights.
    private static func learner(
        _ configuration: ModelConfiguration, smoothing: Double = 0.1, forwardSteps: Int? = nil,
        gradientSteps: Int? = nil, validation: DataFeed? = nil, pool: WorkerPool
    ) throws -> FineTuningLearner {
        let learner = try FineTuningLearner(
            configuration, smoothing: smoothing, forwardSteps: forwardSteps, gradientSteps: gradientSteps, capacity: 8,
            validation: validation, kernels: .best, pool: pool)
        var generator = SeededGenerator(seed: 4)
        for i in 0..<learner.store.count { learner.store.values[i] = 0.1 * generator.nextFloat() }
        learner.valuesChanged()
        return learner
    }

    @Test(
        "takes as many Euler steps as it is told, all if told nothing or more than there are, and reads at the whole pass's end",
        arguments: [(nil, 2), (9, 2), (2, 2), (1, 1), (0, 0)] as [(Int?, Int)])
    func forwardSteps(told: Int?, taken: Int) throws {
        let pool = WorkerPool(count: 1)
        let configuration = Self.configuration(headAt: ActivationMeans(.middle))
        let learner = try Self.learner(configuration, forwardSteps: told, gradientSteps: 0, pool: pool)
        let batch = SmallRun.batch(0, 0)
        let found = learner.differentiate(batch, step: 0).loss

        let network = TrainableNetwork(
            try SmallRun.architecture.program(), capacity: 8, kernels: .best, pool: pool)
        let head = TrainableHead(configuration.head!, network: network)
        network.takeValues(from: learner.store)
        head.takeValues(from: learner.store)
        var states = batch.pixels
        var velocities = states
        for time in [Float(1), 0.75].prefix(taken) {
            network.forward(
                states, times: [Float](repeating: time, count: batch.count)[...], outputs: &velocities)
            for i in states.indices { states[i] -= 0.25 * velocities[i] }
        }
        let expected = ReverseObjective(
            network, head: head, pass: EulerPass(steps: [], stopTime: 0.5), smoothing: 0.1
        )
        .differentiate(images: states, labels: batch.labels).loss
        #expect(found == expected)
    }

    @Test(
        "has the loss and the classes of the pass that is served, on every flow",
        arguments: Prediction.allCases.map { ($0, nil) } + [
            (.epsilon, ActivationMeans(.middle)), (.edm, ActivationMeans(.middle)),
        ]
            as [(Prediction, ActivationMeans?)])
    func served(prediction: Prediction, place: ActivationMeans?) throws {
        try withTemporaryFolder { folder in
            let feed = try SmallRun.pictures(in: folder)
            let configuration = SmallRun.classifier(of: .parametrised(prediction.flow), headAt: place)
            let learner = try Self.learner(
                configuration, smoothing: 0, validation: feed, pool: WorkerPool(count: 2))
            let served = try #require(try learner.validate {})
            let batches = feed.batches()
            var (loss, correct, images) = (0.0, 0, 0)
            for step in 0..<feed.batchesPerEpoch {
                let batch = try batches.next()
                let outcome = learner.differentiate(batch, step: step)
                loss += Double(batch.count) * outcome.loss
                correct += outcome.correct!
                images += batch.count
            }
            #expect(abs(loss / Double(images) - served.loss) < 1e-4 * served.loss)
            #expect(Double(correct) / Double(images) == served.top1)
        }
    }

    @Test(
        "with fewer steps reads an earlier state in the units and with the time label of the end, on every flow",
        arguments: Prediction.allCases, [0, 1])
    func earlierStates(prediction: Prediction, taken: Int) throws {
        let pool = WorkerPool(count: 1)
        let flow = prediction.flow
        let configuration = SmallRun.classifier(of: .parametrised(flow), headAt: ActivationMeans(.middle))
        let learner = try Self.learner(configuration, forwardSteps: taken, gradientSteps: 0, pool: pool)
        let batch = SmallRun.batch(0, 0)
        let found = learner.differentiate(batch, step: 0).loss

        let points = flow.grid(count: 3)
        let network = TrainableNetwork(try configuration.network(), capacity: 8, kernels: .best, pool: pool)
        let head = TrainableHead(configuration.head!, network: network)
        network.takeValues(from: learner.store)
        head.takeValues(from: learner.store)
        // In units of constant variance all along.
        var states = batch.pixels.map { $0 / Float(flow.imageScale) }
        for k in 0..<taken {
            let point = flow.point(at: points[k].s, time: points[k].time)
            let unit = flow.unit(at: points[k].s)
            let input = states.map { $0 * Float(point.c / unit) }
            var output = states
            network.forward(
                input, times: [Float](repeating: Float(point.label), count: batch.count)[...], outputs: &output)
            for i in states.indices {
                let x = Double(states[i]) / unit
                let next = x + (points[k + 1].s - points[k].s) * (point.a * x + point.b * Double(output[i]))
                states[i] = Float(next * flow.unit(at: points[k + 1].s))
            }
        }
        let end = flow.point(at: points[2].s, time: points[2].time)
        let pass = EulerPass(
            steps: [], stopTime: Float(end.label), stopInputScale: Float(end.c / flow.unit(at: points[2].s)))
        let expected = ReverseObjective(network, head: head, pass: pass, smoothing: 0.1)
            .differentiate(images: states, labels: batch.labels).loss
        #expect(abs(found - expected) < 1e-5 * expected)
    }

    @Test(
        "refuses a solver whose steps it doesn't take, by its name", arguments: Solver.allCases.filter { $0 != .euler })
    func solvers(solver: Solver) throws {
        var configuration = Self.configuration(headAt: nil)
        configuration.solver = solver
        let error = #expect(throws: ConfigurationError.self) {
            try Self.learner(configuration, pool: WorkerPool(count: 1))
        }
        #expect(error?.field == "solver" && error?.problem.contains("\(solver)") == true)
    }

    @Test("takes no step to a head that reads the image, whatever the solver", arguments: Solver.allCases)
    func solversOfHeadsAtTheImage(solver: Solver) throws {
        let (pool, batch) = (WorkerPool(count: 1), SmallRun.batch(0, 0))
        var configuration = Self.configuration(headAt: ActivationMeans(.middle))
        configuration.head?.point = 0
        let expected = try Self.learner(configuration, pool: pool).differentiate(batch, step: 0)
        configuration.solver = solver
        #expect(try Self.learner(configuration, pool: pool).differentiate(batch, step: 0) == expected)
    }

    @Test(
        "Parameters that no gradient reaches stay as they are, whatever the decay, and all others change",
        arguments: [
            (nil, nil, nil, []), (ActivationMeans(.middle), nil, nil, []), (ActivationMeans(.middle), nil, 1, []),
            (ActivationMeans(.middle), nil, 0, ["output_blocks.", "out."]),
            (ActivationMeans(.middle), 0, nil, ["output_blocks.", "out."]),
            (ActivationMeans(.up(0)), 0, nil, ["output_blocks.1.", "out."]),
            (
                ActivationMeans(.down(0)), 0, nil,
                ["time_embed.", "input_blocks.1.", "middle_block.", "output_blocks.", "out."]
            ),
        ] as [(ActivationMeans?, Int?, Int?, [String])])
    func reach(place: ActivationMeans?, forwardSteps: Int?, gradientSteps: Int?, unreached: [String]) throws {
        let pool = WorkerPool(count: 2)
        let learner = try Self.learner(
            Self.configuration(headAt: place), forwardSteps: forwardSteps, gradientSteps: gradientSteps, pool: pool)
        let trainer = Trainer(
            learner, settings: SmallRun.settings(rate: 1e-2, average: 0.9, steps: 2), batchesPerEpoch: 1,
            computation: "",
            pool: pool)
        let store = learner.store
        func values(_ shape: ParameterShape) -> [Float] {
            Array(UnsafeBufferPointer(start: store.value(shape.key), count: shape.count))
        }
        let before = store.shapes.map(values)
        for index in 0..<2 { _ = try trainer.step(SmallRun.batch(0, index)) }
        for (shape, before) in zip(store.shapes, before) {
            let isReached = !unreached.contains { shape.key.hasPrefix($0) }
            let (hasChanged, averageHas) = (values(shape) != before, trainer.weights(shape.key) != before)
            #expect(hasChanged == isReached && averageHas == isReached, "\(shape.key)")
        }
    }

    @Test("A linear head's gradients are central differences of the loss, and its logits those that are served")
    func linearHead() throws {
        let pool = WorkerPool(count: 2)
        var configuration = Self.configuration(headAt: ActivationMeans(.middle))
        configuration.head!.hiddenWidth = nil
        let learner = try Self.learner(configuration, forwardSteps: 0, gradientSteps: 0, pool: pool)
        let (store, batch) = (learner.store, SmallRun.batch(0, 0))
        _ = learner.differentiate(batch, step: 0)
        for (key, index) in [
            ("classifier.0.weight", 3), ("classifier.0.bias", 7), ("classifier.1.weight", 40), ("classifier.1.bias", 1),
        ] {
            let gradient = store.gradient(key)[index]
            let value = store.value(key)[index]
            func loss(_ change: Float) -> Double {
                store.value(key)[index] = value + change
                learner.valuesChanged()
                return learner.differentiate(batch, step: 0).loss
            }
            let slope = (loss(1e-2) - loss(-1e-2)) / 2e-2
            _ = loss(0)
            #expect(abs(Double(gradient) - slope) < 1e-3 * max(abs(slope), 0.1), "\(key)")
        }
        let network = TrainableNetwork(
            try SmallRun.architecture.program(), capacity: 8, kernels: .best, pool: pool)
        let head = TrainableHead(configuration.head!, network: network)
        head.takeValues(from: store)
        let served = try ClassificationHead(configuration.head!, on: network.program) { key in
            Array(UnsafeBufferPointer(start: store.value(key), count: store.shapes.first { $0.key == key }!.count))
        }
        let input = (0..<head.width).map { Float($0 % 11) - 4 }
        let logits = served.logits(activations: served.activations(input, kernels: .best), kernels: .best)
        #expect(zip(head.forward(input, batch: 1), logits).allSatisfy { abs($0 - $1) < 1e-4 })
    }
}
