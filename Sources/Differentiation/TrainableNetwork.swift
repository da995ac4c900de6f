import CKernels
public import Layers
public import Networks
public import Tensor

/// A network in both directions: F(x, τ) of a batch of images, each at its own time label, and from a gradient with respect to F
/// the gradients with respect to the parameters and to x. Where the network is the velocity, F(x, τ) is v(t, x).
///
/// It holds the activations of one evaluation of up to `capacity` images, so a small capacity bounds memory whatever the
/// batch: gradients add up over evaluations until `giveGradients`. With the same number of workers the same calls give
/// the same bits; with `GradientSums.independentOfWorkers`, with any number. Not for use by two threads at a time.
public final class TrainableNetwork {
    /// What is evaluated.
    public let program: NetworkProgram
    /// Most images in an evaluation.
    public let capacity: Int
    let workspace: Workspace

    private let operations: [TrainableOperation]
    private let embedding: TrainableTimeEmbedding
    private let activationArena: Arena
    /// Of the program's buffers, all of which are kept for the way back.
    private let activations: [FeatureMap]
    private let gradients: GradientBuffers

    /// Allocates the network with all weights zero; `takeValues` must follow.
    ///
    /// - Parameter sums: how the workers divide the parameters' gradients.
    public init(
        _ program: NetworkProgram, capacity: Int, sums: GradientSums = .fastest, kernels: Kernels, pool: WorkerPool
    ) {
        precondition(capacity > 0)
        self.program = program
        self.capacity = capacity
        operations = zip(program.operations, program.recordsMoments).map {
            TrainableOperation($0, recordsMoments: $1, capacity: capacity, sums: sums, pool: pool)
        }
        embedding = TrainableTimeEmbedding(program.timeEmbedding, modulations: program.modulations, capacity: capacity)
        activationArena = Arena(
            ArenaLayout(program.owners.map { program.map($0, lifetime: 0...0) }), capacity: capacity)
        activations = program.maps(ofOwners: activationArena.maps)
        gradients = GradientBuffers(program, capacity: capacity, pool: pool)
        workspace = Workspace(
            kernels: kernels, pool: pool, scratchFloats: operations.reduce(0) { max($0, $1.scratchFloats) })
    }

    /// Numbers in a state: channels·side².
    public var stateCount: Int { program.stateCount }

    /// Bytes of activations and of gradients with respect to them; packed weights and their sums are not counted.
    public var byteCount: Int { activationArena.byteCount + gradients.byteCount + workspace.byteCount }

    /// Takes the store's values; to be called whenever they have changed.
    public func takeValues(from store: ParameterStore) {
        embedding.takeValues(from: store)
        for operation in operations { operation.takeValues(from: store, pool: workspace.pool) }
    }

    /// Adds the gradients that have come together since the last call to the store's.
    public func giveGradients(to store: ParameterStore) {
        embedding.giveGradients(to: store)
        for operation in operations { operation.giveGradients(to: store, pool: workspace.pool) }
    }
}

// MARK: - The whole way

extension TrainableNetwork {
    /// Evaluates F(scale·x, τ) for as many images as there are times, and keeps what the backward pass needs.
    /// - Parameters:
    ///   - states: x, [times.count][channels][side][side].
    ///   - times: the label τ of each image; at most `capacity`.
    ///   - outputs: receives [times.count][channels][side][side].
    public func forward(
        _ states: UnsafePointer<Float>, scale: Float = 1, times: ArraySlice<Float>,
        outputs: UnsafeMutablePointer<Float>
    ) {
        run(states, scale: scale, times: times, operationCount: operations.count)
        unblock(activations[program.output], into: outputs, batch: times.count)
    }

    /// Takes a gradient with respect to the outputs of the last `forward` back; the parameters' gradients add up.
    /// - Parameters:
    ///   - outputGradients: [batch][channels][side][side], for the batch of the last `forward`.
    ///   - inputGradients: receives the gradient with respect to the network's input scale·x, [batch][channels][side][side]; nil
    ///     if it isn't wanted.
    public func backward(
        _ outputGradients: UnsafePointer<Float>, batch: Int, inputGradients: UnsafeMutablePointer<Float>?
    ) {
        precondition(batch > 0 && batch <= capacity)
        block(outputGradients, into: gradients.start(at: program.output, batch: batch), batch: batch)
        runBackward(operationCount: operations.count, batch: batch, inputGradients: inputGradients)
    }
}

// MARK: - As far as a place

extension TrainableNetwork {
    /// Evaluates the network as far as a place for as many images as there are times, and keeps what the backward pass needs.
    /// - Parameters:
    ///   - states: x, [times.count][channels][side][side].
    ///   - scale: the factor of x in the network's input.
    ///   - times: the label τ of each image; at most `capacity`.
    ///   - means: what to read there, which the program has.
    /// - Returns: the means of the activations, [times.count][channels][divisions][divisions].
    public func forward(
        _ states: UnsafePointer<Float>, scale: Float = 1, times: ArraySlice<Float>, to means: ActivationMeans
    ) -> [Float] {
        run(states, scale: scale, times: times, operationCount: program.operationCount(through: means.place))
        let map = activations[program.buffer(at: means.place)]
        return (0..<times.count).flatMap { map.means(ofImage: $0, divisions: means.divisions) }
    }

    /// Takes a gradient with respect to the means of the last `forward(_:times:to:)`, [batch][channels][divisions][divisions],
    /// back; the parameters' gradients add up.
    /// - Parameter inputGradients: receives the gradient with respect to the network's input, [batch][channels][side][side]; nil
    ///   if it isn't wanted.
    public func backward(
        _ meanGradients: [Float], from means: ActivationMeans, batch: Int, inputGradients: UnsafeMutablePointer<Float>?
    ) {
        precondition(batch > 0 && batch <= capacity)
        gradients.start(at: program.buffer(at: means.place), batch: batch).spread(
            meanGradients, divisions: means.divisions, batch: batch)
        runBackward(
            operationCount: program.operationCount(through: means.place), batch: batch, inputGradients: inputGradients)
    }
}

// MARK: - Running

extension TrainableNetwork {
    private func run(_ states: UnsafePointer<Float>, scale: Float, times: ArraySlice<Float>, operationCount: Int) {
        precondition(!times.isEmpty && times.count <= capacity)
        embedding.forward(times, on: workspace)
        let input = activations[program.input]
        block(states, into: input, batch: times.count)
        if scale != 1 { input.scale(by: scale, batch: times.count) }
        for operation in operations.prefix(operationCount) {
            operation.forward.run(
                activations, images: 0..<times.count, modulations: UnsafePointer(embedding.modulations), on: workspace)
        }
    }

    /// Takes the gradient that `gradients` starts with back through the first `operationCount` operations.
    private func runBackward(operationCount: Int, batch: Int, inputGradients: UnsafeMutablePointer<Float>?) {
        let pass = Pass(
            batch: batch, workspace: workspace, modulations: UnsafePointer(embedding.modulations),
            modulationGradients: UnsafePointer(embedding.modulationGradients))
        // Operations behind the start give none.
        if operationCount < operations.count { embedding.clearModulationGradients() }
        for (index, trainable) in operations.enumerated().prefix(operationCount).reversed() {
            let operation = trainable.operation
            guard let outputGradient = gradients.gradient(by: operation.output) else { continue }
            if let residual = operation.residual, residual != operation.output {
                gradients.pass(from: operation.output, to: residual)
            }
            let isWanted = operation.input != program.input || inputGradients != nil || operation.transform != nil
            trainable.backward(
                activations[operation.input], outputGradient: outputGradient,
                inputGradient: isWanted ? gradients.contribution(toInputOf: index) : nil, pass: pass)
        }
        embedding.backward(batch: batch, on: workspace)
        guard let inputGradients else { return }
        guard let map = gradients.gradient(by: program.input) else { preconditionFailure("nothing reads the state") }
        unblock(map, into: inputGradients, batch: batch)
    }

    private func block(_ planes: UnsafePointer<Float>, into map: FeatureMap, batch: Int) {
        let pixels = map.side * map.side
        for n in 0..<batch {
            hw_block_planes(map.image(n), planes + n * map.channels * pixels, map.channels, pixels)
        }
    }

    private func unblock(_ map: FeatureMap, into planes: UnsafeMutablePointer<Float>, batch: Int) {
        let pixels = map.side * map.side
        for n in 0..<batch {
            hw_unblock_planes(planes + n * map.channels * pixels, map.image(n), map.channels, pixels)
        }
    }
}
