import Differentiation
import FlowModel
import ReverseODE
import Tensor

/// Learns classes through the reverse pass: the head and the velocity network together (PRG, section 6, stage 2).
package final class FineTuningLearner: Learner {
    package let store: ParameterStore
    /// Not the parameters behind the head's place where no gradient goes back through a step.
    package let reached: [Range<Int>]
    private let network: TrainableNetwork
    private let head: TrainableHead
    private let objective: ReverseObjective
    private let judge: ClassificationJudge?

    /// Begins with weights of zero: `WeightInitialization` or `load` gives it others.
    ///
    /// - Parameters:
    ///   - configuration: valid, with a head; the reverse pass is Euler's on its grid.
    ///   - smoothing: weight of the uniform distribution in the target, 0 ..< 1.
    ///   - forwardSteps: how many of the grid's Euler steps are taken, from the image; the head then reads an earlier state, at
    ///     the time at which the whole pass stops. More than the grid has, or nil, counts as all.
    ///   - gradientSteps: see `ReverseObjective`; more than are taken counts as all.
    ///   - capacity: images in memory at a time; see `TrainableNetwork`.
    ///   - validation: images held back, in a fixed order; nil for none.
    /// - Throws: `ConfigurationError`.
    package init(
        _ configuration: ModelConfiguration, smoothing: Double, forwardSteps: Int? = nil, gradientSteps: Int? = nil,
        capacity: Int, validation: DataFeed?, kernels: Kernels, pool: WorkerPool
    ) throws(ConfigurationError) {
        guard configuration.flow.path != nil else {
            throw ConfigurationError(
                field: "flow",
                problem: "the whole pass can be fine-tuned on PRG's paths only; train a head alone with --freeze flow")
        }
        let program = try configuration.network()
        let head = configuration.head!
        store = ParameterStore(shapes: program.parameters + head.parameters(on: program))
        network = TrainableNetwork(program, capacity: capacity, kernels: kernels, pool: pool)
        self.head = TrainableHead(head, network: network)
        let grid = TimeGrid(configuration)
        let steps = Array(grid.eulerSteps.prefix(forwardSteps ?? grid.steps))
        objective = ReverseObjective(
            network, head: self.head, steps: steps, stopTime: grid.times[grid.steps],
            smoothing: Float(smoothing), gradientSteps: gradientSteps.map { min($0, steps.count) })
        let keys = objective.keysReached
        reached = store.ranges { keys.contains($0) }
        judge = validation.map {
            ClassificationJudge(configuration: configuration, validation: $0, kernels: kernels, pool: pool)
        }
    }

    package func valuesChanged() {
        network.takeValues(from: store)
        head.takeValues(from: store)
    }

    package func differentiate(_ batch: Batch, step: Int) -> BatchOutcome {
        store.clearGradients()
        let outcome = objective.differentiate(images: batch.pixels, labels: batch.labels)
        network.giveGradients(to: store)
        head.giveGradients(to: store)
        return BatchOutcome(loss: outcome.loss, correct: outcome.correct)
    }

    /// Cross-entropy, without smoothing, and top-1 accuracy over the images held back.
    package func validate(beforeEachBatch: () throws -> Void) throws -> ValidationScore? {
        try judge?.score(store, beforeEachBatch: beforeEachBatch)
    }
}

extension TimeGrid {
    /// The reverse pass by Euler's method.
    var eulerSteps: [EulerStep] {
        (0..<steps).map { EulerStep(time: times[$0], size: direction * (points[$0 + 1] - points[$0])) }
    }
}

extension ParameterStore {
    /// Takes those values over from a model that it has and whose shapes are these parameters'.
    ///
    /// - Throws: `CheckpointError` if a tensor can't be read.
    package func load(_ file: ModelFile, where isWanted: (String) -> Bool = { _ in true }) throws {
        for shape in shapes where isWanted(shape.key) {
            let values = try file.tensor(ModelFile.key(ofParameter: shape.key))
            precondition(values.count == shape.count)
            value(shape.key).update(from: values, count: values.count)
        }
    }
}
