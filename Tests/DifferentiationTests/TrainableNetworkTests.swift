import Differentiation
import FlowModel
import ReferenceNetwork
import Tensor
import TestFixtures
import Testing

/// A network, a head and their parameters, ready to be differentiated.
struct TrainableCase {
    let sample: GradientCase
    let store: ParameterStore
    let network: TrainableNetwork
    let head: TrainableHead

    init(_ sample: GradientCase, capacity: Int, kernels: Kernels = .best, workers: Int = 2) {
        self.sample = sample
        store = ParameterStore(shapes: sample.shapes)
        for (key, numbers) in sample.parameters { store.value(key).update(from: numbers, count: numbers.count) }
        network = TrainableNetwork(
            layout: sample.layout, capacity: capacity, kernels: kernels, pool: WorkerPool(count: workers))
        head = TrainableHead(sample.head, network: network)
        network.takeValues(from: store)
        head.takeValues(from: store)
    }

    func flowMatching() -> Double {
        FlowMatchingObjective(network).differentiate(
            states: sample.noise(1001, 3), times: GradientCase.times, targets: sample.noise(1002, 3))
    }

    func reverse() -> (loss: Double, start: [Float]) {
        let objective = ReverseObjective(
            network, head: head, steps: GradientCase.steps, smoothing: Float(GradientCase.smoothing))
        let images = sample.noise(1003, 2)
        var start = [Float](repeating: 0, count: images.count)
        let outcome = objective.differentiate(images: images, labels: GradientCase.labels, imageGradients: &start)
        return (outcome.loss, start)
    }

    /// All gradients, which then start anew.
    func gradients() -> [Float] {
        store.clearGradients()
        network.giveGradients(to: store)
        head.giveGradients(to: store)
        return Array(UnsafeBufferPointer(start: store.gradients, count: store.count))
    }

    func gradient(_ key: String) -> [Double] {
        let count = store.shapes.first { $0.key == key }!.count
        return UnsafeBufferPointer(start: store.gradient(key), count: count).map(Double.init)
    }
}

@Suite("The trainable network's losses and gradients, in f32")
struct TrainableNetworkTests {
    @Test("agree with PyTorch's for flow matching, whatever the kernels", arguments: Kernels.all)
    func flowMatching(kernels: Kernels) throws {
        let trainable = TrainableCase(try GradientCase(side: 16), capacity: 3, kernels: kernels)
        let loss = trainable.flowMatching()
        _ = trainable.gradients()
        let fixture = try GradientFixture("flow")
        try fixture.expectClose([loss], "loss", within: 1e-5)
        try fixture.expectGradients(within: 1e-4, trainable.sample.shapes) { trainable.gradient($0) }
    }

    @Test("agree with PyTorch's for cross-entropy through Euler steps, in parts of the batch too", arguments: [1, 2])
    func reverse(capacity: Int) throws {
        let trainable = TrainableCase(try GradientCase(side: 16), capacity: capacity)
        let (loss, start) = trainable.reverse()
        _ = trainable.gradients()
        let fixture = try GradientFixture("reverse")
        try fixture.expectClose([loss], "loss", within: 1e-5)
        try fixture.expectClose(start.map(Double.init), "start", within: 1e-4)
        try fixture.expectGradients(within: 1e-4, trainable.sample.shapes) { trainable.gradient($0) }
    }
}
