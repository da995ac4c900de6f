import Differentiation
import FlowModel
import Tensor
import TestFixtures
import Testing

@testable import Training

@Suite("What fine-tuning differentiates")
struct FineTuningLearnerTests {
    @Test(
        "takes as many Euler steps as it is told, all if told nothing or more than there are, and reads at the whole pass's end",
        arguments: [(nil, 2), (9, 2), (2, 2), (1, 1), (0, 0)] as [(Int?, Int)])
    func forwardSteps(told: Int?, taken: Int) throws {
        let pool = WorkerPool(count: 1)
        let configuration = ModelConfiguration(
            name: "small", architecture: SmallRun.architecture,
            head: HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 2, place: .middle), path: .icfm,
            grid: TimeGridConfiguration(count: 5, cutoff: 2), preprocessing: .reference(imageSize: 16))
        let learner = try FineTuningLearner(
            configuration, smoothing: 0.1, forwardSteps: told, gradientSteps: 0, capacity: 8, validation: nil,
            kernels: .best, pool: pool)
        var generator = SeededGenerator(seed: 4)
        for i in 0..<learner.store.count { learner.store.values[i] = 0.1 * generator.nextFloat() }
        learner.valuesChanged()
        let batch = SmallRun.batch(0, 0)
        let found = learner.differentiate(batch, step: 0).loss

        let network = TrainableNetwork(
            layout: try UNetLayout(SmallRun.architecture), capacity: 8, kernels: .best, pool: pool)
        let head = TrainableHead(configuration.head!, network: network)
        network.takeValues(from: learner.store)
        head.takeValues(from: learner.store)
        var states = batch.pixels
        var velocities = states
        for time in [Float(1), 0.75].prefix(taken) {
            network.forward(
                states, times: [Float](repeating: time, count: batch.count)[...], velocities: &velocities)
            for i in states.indices { states[i] -= 0.25 * velocities[i] }
        }
        let expected = ReverseObjective(network, head: head, steps: [], stopTime: 0.5, smoothing: 0.1)
            .differentiate(images: states, labels: batch.labels).loss
        #expect(found == expected)
    }
}
