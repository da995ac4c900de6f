import Differentiation
import FlowModel
import ModelFixtures
import Networks
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
            sample.program, capacity: capacity, kernels: kernels, pool: WorkerPool(count: workers))
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
            network, head: head, pass: sample.pass,
            smoothing: Float(GradientCase.smoothing))
        let images = sample.noise(1003, 2)
        var start = [Float](repeating: 0, count: images.count)
        let outcome = objective.differentiate(images: images, labels: GradientCase.labels, imageGradients: &start)
        return (outcome.loss, start)
    }

    /// All gradients, which are then set to zero.
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

    /// Compares each parameter's gradient with a reference's.
    func expectGradientsClose(to reference: ReferenceNetwork, _ shapes: [ParameterShape]) {
        let norms = shapes.map { shape in
            reference.parameters[shape.key]!.gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
        }
        for (shape, norm) in zip(shapes, norms) {
            let difference = zip(gradient(shape.key), reference.parameters[shape.key]!.gradient).reduce(0) {
                $0 + ($1.0 - $1.1) * ($1.0 - $1.1)
            }.squareRoot()
            #expect(difference <= 1e-4 * max(norm, norms.max()! / 1000), "\(shape.key): \(difference) of \(norm)")
        }
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

    @Test(
        "agree with the reference for a head that reads activations at the stop time, in parts of the batch too",
        arguments: [
            ActivationMeans(.middle), ActivationMeans(.down(0)), ActivationMeans(.down(2)), ActivationMeans(.up(0)),
            ActivationMeans(.up(1)), ActivationMeans(.up(3)), ActivationMeans(.up(0), divisions: 2),
            ActivationMeans(.up(1), divisions: 3),
        ])
    func placedHead(place: ActivationMeans) throws {
        try expectReference(
            TrainableCase(try GradientCase(side: 16, place: place), capacity: place == ActivationMeans(.middle) ? 1 : 2)
        )
    }

    @Test(
        "agree with the reference through flows of other scales, whether the head reads states or activations",
        arguments: [(.edm, nil), (.sample, nil), (.epsilon, ActivationMeans(.middle)), (.ve, ActivationMeans(.middle))]
            as [(Prediction, ActivationMeans?)])
    func flows(prediction: Prediction, place: ActivationMeans?) throws {
        let program = try VariedNetwork.smallest.program(frequencies: .singleExponentials)
        try expectReference(TrainableCase(GradientCase(program, place: place, through: prediction.flow), capacity: 2))
    }

    private func expectReference(_ trainable: TrainableCase) throws {
        let sample = trainable.sample
        // Another loss before: nothing of it may be left.
        _ = trainable.flowMatching()
        _ = trainable.gradients()
        let (loss, start) = trainable.reverse()
        _ = trainable.gradients()
        let reference = sample.reference()
        let tape = Tape()
        let images = sample.start()
        let expected = sample.reverseLoss(reference, tape, start: images)
        tape.differentiate(expected, seed: [1])
        #expect(abs(loss - expected.value[0]) < 1e-5 * expected.value[0])
        #expect(relativeError(start.map(Double.init), images.gradient) < 1e-4)
        trainable.expectGradientsClose(to: reference, sample.shapes)
    }

    @Test("agree with the reference for two blocks a level and three levels")
    func deeper() throws {
        let program = try UNetArchitecture(
            modelChannels: 32, residualBlocks: 2, channelMultipliers: [1, 2, 1], attentionDownsampling: [4],
            heads: 2, imageSize: 16
        ).program()
        let sample = GradientCase(program)
        let trainable = TrainableCase(sample, capacity: 1, workers: 3)
        let states = sample.noise(31, 2)
        let targets = sample.noise(32, 2)
        let times: [Float] = [0.8, 0.2]
        let loss = FlowMatchingObjective(trainable.network).differentiate(
            states: states, times: times, targets: targets)
        _ = trainable.gradients()
        let reference = sample.reference()
        let tape = Tape()
        let velocity = reference.velocity(sample.images(31, 2), times: times, on: tape)
        let expected = tape.flowMatchingLoss(velocity, target: targets.map(Double.init))
        tape.differentiate(expected, seed: [1])
        #expect(abs(loss - expected.value[0]) < 1e-5 * expected.value[0])
        trainable.expectGradientsClose(to: reference, program.parameters)
    }

    @Test("have the same bits each time with the same number of workers", arguments: [1, 2, 3])
    func repeatability(workers: Int) throws {
        let sample = try GradientCase(side: 16)
        let trainable = TrainableCase(sample, capacity: 2, workers: workers)
        let runs = (0..<2).map { _ in
            let losses = [trainable.flowMatching(), trainable.reverse().loss]
            return (losses, trainable.gradients())
        }
        #expect(runs[0].0 == runs[1].0)
        #expect(runs[0].1.map(\.bitPattern) == runs[1].1.map(\.bitPattern))
    }

    @Test("follow the parameters: new values are taken over by every layer")
    func newValues() throws {
        let sample = try GradientCase(side: 16)
        let moved = TrainableCase(sample, capacity: 3)
        // Somewhere else first, then where a fresh one starts.
        let values = Array(UnsafeBufferPointer(start: moved.store.values, count: moved.store.count))
        for i in values.indices { moved.store.values[i] = -0.5 * values[i] + 0.01 }
        moved.network.takeValues(from: moved.store)
        moved.head.takeValues(from: moved.store)
        let elsewhere = moved.reverse().loss
        _ = moved.gradients()
        moved.store.values.update(from: values, count: values.count)
        moved.network.takeValues(from: moved.store)
        moved.head.takeValues(from: moved.store)
        let fresh = TrainableCase(sample, capacity: 3)
        let (back, expected) = (moved.reverse(), fresh.reverse())
        #expect(back.loss == expected.loss && elsewhere != expected.loss)
        #expect(back.start == expected.start)
        #expect(moved.gradients() == fresh.gradients())
    }

    @Test("need no more activations for more steps: each step's are computed again on the way back")
    func memory() throws {
        let trainable = TrainableCase(try GradientCase(side: 16), capacity: 2)
        _ = trainable.reverse()
        let held = trainable.network.byteCount
        let many = (0..<12).map { EulerStep(time: Float($0) / 12, size: 0.05) }
        let images = trainable.sample.noise(1003, 5)
        let objective = ReverseObjective(
            trainable.network, head: trainable.head, pass: EulerPass(steps: many, stopTime: 1), smoothing: 0)
        let outcome = objective.differentiate(images: images, labels: [0, 1, 2, 3, 4])
        #expect(outcome.loss.isFinite)
        #expect(trainable.network.byteCount == held)
    }

    @Test("taken through the head's evaluation alone are those at the states that the steps lead to, given as images")
    func truncated() throws {
        let steps = [EulerStep(time: 0.25, size: 0.1), EulerStep(time: 0.75, size: 0.2)]
        let trainable = TrainableCase(try GradientCase(side: 16), capacity: 5)
        let head = TrainableHead(
            HeadConfiguration(
                pooledSize: 8, hiddenWidth: 8, classes: trainable.head.configuration.classes,
                place: ActivationMeans(.middle)),
            network: trainable.network)
        let store = ParameterStore(
            shapes: trainable.network.program.parameters
                + head.configuration.parameters(on: trainable.network.program))
        let values = trainable.sample.noise(1004, store.count / 64 + 1)
        for i in 0..<store.count { store.values[i] = 0.1 * values[i % values.count] }
        trainable.network.takeValues(from: store)
        head.takeValues(from: store)
        let images = trainable.sample.noise(1003, 5)
        let labels = [0, 1, 2, 1, 0]
        var states = images
        var velocities = images
        for step in steps {
            trainable.network.forward(
                states, times: [Float](repeating: step.time, count: 5)[...], outputs: &velocities)
            for i in states.indices { states[i] += step.outputFactor * velocities[i] }
        }
        func gradients(_ steps: [EulerStep], of images: [Float], gradientSteps: Int?) -> (Double, [Float]) {
            let objective = ReverseObjective(
                trainable.network, head: head, pass: EulerPass(steps: steps, stopTime: 1), smoothing: 0.1,
                gradientSteps: gradientSteps)
            store.clearGradients()
            let outcome = objective.differentiate(images: images, labels: labels)
            trainable.network.giveGradients(to: store)
            head.giveGradients(to: store)
            return (outcome.loss, Array(UnsafeBufferPointer(start: store.gradients, count: store.count)))
        }
        let (loss, truncated) = gradients(steps, of: images, gradientSteps: 0)
        let (expectedLoss, expected) = gradients([], of: states, gradientSteps: nil)
        #expect(loss == expectedLoss && truncated == expected)
        let (_, whole) = gradients(steps, of: images, gradientSteps: nil)
        #expect(whole != truncated)
        let (_, last) = gradients(steps, of: images, gradientSteps: 1)
        #expect(last != truncated && last != whole)
    }
}
