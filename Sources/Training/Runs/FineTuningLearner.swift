import Differentiation
import FlowModel
import Layers
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
    /// The loss that keeps the network a flow; nil for none.
    private let flowLoss: FlowLoss?
    private let judge: ClassificationJudge?

    /// Begins with weights of zero: `WeightInitialization` or `load` gives it others.
    ///
    /// - Parameters:
    ///   - configuration: valid, with a head; any flow, and Euler's method unless the head reads the image.
    ///   - smoothing: weight of the uniform distribution in the target, 0 ..< 1.
    ///   - forwardSteps: see `EulerPass.init(_:to:forwardSteps:)`.
    ///   - gradientSteps: see `ReverseObjective`; more than are taken counts as all.
    ///   - flowWeight: the weight of the flow's own loss, on `Batch.flowPixels`; with 0 there is none.
    ///   - flowShare: the part of these images that this loss is taken on: above 0, up to 1.
    ///   - seed: of the noise and the times of that loss.
    ///   - capacity: images in memory at a time; see `TrainableNetwork`.
    ///   - sums: how the workers divide the gradients.
    ///   - validation: images held back, in a fixed order; nil for none.
    /// - Throws: `ConfigurationError`, also for another solver.
    package init(
        _ configuration: ModelConfiguration, smoothing: Double, forwardSteps: Int? = nil, gradientSteps: Int? = nil,
        flowWeight: Double = 0, flowShare: Double = 1, seed: UInt64 = 1, capacity: Int, sums: GradientSums = .fastest,
        validation: DataFeed?, kernels: Kernels, pool: WorkerPool
    ) throws(ConfigurationError) {
        try configuration.requireTrainableSolver()
        let program = try configuration.network()
        let head = configuration.head!
        store = ParameterStore(shapes: program.parameters + head.parameters(on: program))
        network = TrainableNetwork(program, capacity: capacity, sums: sums, kernels: kernels, pool: pool)
        self.head = TrainableHead(head, network: network)
        let pass = EulerPass(TimeGrid(configuration), to: head.point, forwardSteps: forwardSteps)
        objective = ReverseObjective(
            network, head: self.head, pass: pass, smoothing: Float(smoothing),
            gradientSteps: gradientSteps.map { min($0, pass.steps.count) })
        flowLoss =
            flowWeight > 0
            ? FlowLoss(
                flow: configuration.flow, objective: FlowMatchingObjective(network, weight: Float(flowWeight)),
                share: flowShare, seed: seed, pool: pool) : nil
        let keys = objective.keysReached.union(flowWeight > 0 ? program.parameters.map(\.key) : [])
        reached = store.ranges { keys.contains($0) }
        judge = validation.map {
            ClassificationJudge(configuration: configuration, validation: $0, kernels: kernels, pool: pool)
        }
    }

    package func valuesChanged() {
        network.takeValues(from: store)
        head.takeValues(from: store)
    }

    package func differentiate(_ batch: Batch, parts: [Range<Int>], step: Int, partDone: (BatchOutcome) -> Void) {
        let flowBatch = flowBatch(of: batch, step: step)
        for part in parts {
            store.clearGradients()
            let outcome = batch.pixels.withUnsafeBufferPointer { pixels in
                objective.differentiate(
                    images: pixels.baseAddress! + part.lowerBound * network.stateCount,
                    labels: Array(batch.labels[part]), of: batch.count)
            }
            let partOfFlowLoss = flowBatch.flatMap { flowBatch in
                flowLoss?.differentiate(flowBatch, images: flowBatch.pairs(of: part, among: batch.count))
            }
            network.giveGradients(to: store)
            head.giveGradients(to: store)
            partDone(BatchOutcome(loss: outcome.loss, correct: outcome.correct, flowLoss: partOfFlowLoss))
        }
    }

    /// What the flow is trained on in a step; nil if it isn't, or if all images for it are damaged.
    private func flowBatch(of batch: Batch, step: Int) -> FlowMatchingBatch? {
        let pixels = batch.flowPixels ?? batch.pixels
        guard let flowLoss, !pixels.isEmpty else { return nil }
        return flowLoss.trainingBatch(pixels, count: pixels.count / network.stateCount, step: step)
    }

    /// Cross-entropy, without smoothing, and top-1 accuracy over the images held back, and the flow's loss if it is learnt.
    package func validate(beforeEachBatch: () throws -> Void) throws -> ValidationScore? {
        var (loss, images) = (0.0, 0)
        var score = try judge?.score(store, beforeEachBatch: beforeEachBatch) { batch, number in
            guard let flowLoss, batch.count > 0 else { return }
            loss += Double(batch.count) * flowLoss.held(batch, number: number)
            images += batch.count
        }
        if images > 0 { score?.flowLoss = loss / Double(images) }
        return score
    }
}

extension ModelConfiguration {
    /// Checks that the pass to the head is one that the gradient can be taken back through. A head that reads the image is reached
    /// by no step.
    ///
    /// - Throws: `ConfigurationError` naming the solver.
    func requireTrainableSolver() throws(ConfigurationError) {
        guard solver == .euler || head?.point == 0 else {
            throw ConfigurationError(
                field: "solver",
                problem:
                    "training takes Euler's steps to the head, and the model's solver is \(solver); convert the model "
                    + "first (headwater convert MODEL --solver euler -o NEW), let the head read the image (--head-at), or "
                    + "train a head alone with --freeze flow")
        }
    }
}

extension EulerPass {
    /// The reverse pass along a grid to where the head reads.
    ///
    /// - Parameters:
    ///   - point: the head's; nil for the last.
    ///   - forwardSteps: how many of the steps to it are taken, from the image; the head then reads an earlier state, with the time
    ///     label of its point and in the units that states have there. More than there are, or nil, counts as all.
    init(_ grid: TimeGrid, to point: Int? = nil, forwardSteps: Int?) {
        let last = point ?? grid.steps
        let taken = min(forwardSteps ?? last, last)
        let end = grid.point(at: last)
        self.init(
            steps: (0..<taken).map { k in
                EulerStep(at: grid.point(at: k), size: grid.direction * (grid.points[k + 1] - grid.points[k]))
            },
            stopTime: Float(end.label), imageScale: grid.imageScale,
            stopInputScale: grid.units[taken] / grid.units[last] * Float(end.c), stopUnit: grid.units[taken])
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
