import CKernels
import Layers
import Networks
import Tensor

/// What a pass through the network borrows.
struct Pass {
    let batch: Int
    let workspace: Workspace
    /// For image n a row of all modulations, and of the gradients with respect to them.
    let modulations: UnsafePointer<UnsafePointer<Float>>
    let modulationGradients: UnsafePointer<UnsafeMutablePointer<Float>>
}

/// An operation in both directions: its layer, the gradients of that, and one rule for the way back.
struct TrainableOperation {
    private enum Gradient {
        case convolution(any ConvolutionLayerGradient)
        case attention(Attention)
    }

    private struct Transform {
        let norm: GroupNorm
        let gradient: InputTransformGradient
    }

    let forward: PackedOperation
    private let gradient: Gradient
    private let transform: Transform?

    var operation: NetworkOperation { forward.operation }

    /// Allocates for `capacity` images, all weights zero.
    init(
        _ operation: NetworkOperation, recordsMoments: Bool, capacity: Int, sums: GradientSums, pool: WorkerPool
    ) {
        switch operation.kind {
        case .convolution(let shape): gradient = .convolution(ConvolutionGradient(shape, sums: sums, pool: pool))
        case .pointwise(let shape): gradient = .convolution(PointwiseGradient(shape, sums: sums, pool: pool))
        case .attention(let attention): gradient = .attention(attention)
        case .resampling(let shape):
            gradient = .convolution(ResamplingGradient(shape, factor: operation.factor))
        }
        transform = operation.transform.map { transform in
            let channels = operation.shape.inputs
            let norm = GroupNorm(
                weight: [Float](repeating: 1, count: channels), bias: [Float](repeating: 0, count: channels),
                epsilon: transform.epsilon)
            return Transform(
                norm: norm,
                gradient: InputTransformGradient(norm, isActivated: transform.isActivated, capacity: capacity))
        }
        let layer: PackedOperation.Layer =
            switch gradient {
            case .convolution(let convolution): .convolution(convolution.layer)
            case .attention(let attention): .attention(attention)
            }
        forward = PackedOperation(operation, layer: layer, norm: transform?.norm, recordsMoments: recordsMoments)
    }

    var scratchFloats: Int {
        switch gradient {
        case .convolution(let convolution): convolution.scratchFloats
        case .attention(let attention): max(attention.scratchFloats, attention.gradientScratchFloats)
        }
    }

    /// Adds up the gradients with respect to the parameters, and computes the one with respect to the input.
    /// - Parameters:
    ///   - input: what `forward` read.
    ///   - outputGradient: by what it wrote.
    ///   - inputGradient: where the gradient with respect to the input goes; nil if it isn't wanted.
    func backward(
        _ input: FeatureMap, outputGradient: FeatureMap, inputGradient: GradientBuffers.Contribution?, pass: Pass
    ) {
        switch gradient {
        case .convolution(let convolution):
            convolution.accumulate(
                input, transform: forward.transform(pass.modulations), outputGradient: outputGradient,
                batch: pass.batch, on: pass.workspace)
            guard let inputGradient else { return }
            self.inputGradient(convolution, input, outputGradient, inputGradient, pass)
        case .attention(let attention):
            guard let inputGradient else { return }
            precondition(inputGradient.addend == nil, "queries, keys and values have one reader")
            attention.backward(
                input, outputGradient: outputGradient, into: inputGradient.target, batch: pass.batch,
                on: pass.workspace)
        }
    }

    /// Computes a convolution's gradient with respect to its input, and takes it through the transform, if there is one.
    private func inputGradient(
        _ convolution: any ConvolutionLayerGradient, _ input: FeatureMap, _ outputGradient: FeatureMap,
        _ contribution: GradientBuffers.Contribution, _ pass: Pass
    ) {
        let (batch, workspace) = (pass.batch, pass.workspace)
        guard let transform else {
            return convolution.inputGradient(
                outputGradient, into: contribution.target, addend: contribution.addend, through: nil,
                temporary: contribution.resampled, batch: batch, on: workspace)
        }
        let modulation = operation.transform?.modulation
        let call = InputTransformGradient.Call(
            transform.gradient, input: input,
            modulation: modulation.map {
                InputTransform.Modulation($0.kind, rows: pass.modulations, offset: $0.offset)
            })
        // Until the sums over groups are known, what is in the target must stay.
        let unfinished = contribution.addsToTarget ? contribution.unfinished! : contribution.target
        convolution.inputGradient(
            outputGradient, into: unfinished, addend: nil, through: call, temporary: contribution.resampled,
            batch: batch, on: workspace)
        transform.gradient.finish(
            unfinished, of: call, addend: contribution.addend, into: contribution.target,
            modulationGradient: modulation.map {
                InputTransformGradient.ModulationGradient(
                    $0.kind, rows: pass.modulationGradients, offset: $0.offset)
            },
            batch: batch, on: workspace)
    }

    func takeValues(from store: ParameterStore, pool: WorkerPool) {
        if let transform, let key = operation.transform?.normKey {
            transform.norm.update(weight: store.value(key + ".weight"), bias: store.value(key + ".bias"))
        }
        guard case .convolution(let convolution) = gradient, operation.shape.weightShape != nil else { return }
        let (key, factor) = (operation.key, operation.factor)
        let (weight, bias) = (store.value(key + ".weight"), store.value(key + ".bias"))
        guard factor != 1 else { return convolution.repack(weight: weight, bias: bias, pool: pool) }
        let counts = parameterCounts
        convolution.repack(
            weight: (0..<counts.weight).map { weight[$0] * factor }, bias: (0..<counts.bias).map { bias[$0] * factor },
            pool: pool)
    }

    /// Adds the gradients that have come together to the store's, and resets them.
    func giveGradients(to store: ParameterStore, pool: WorkerPool) {
        if let transform, let key = operation.transform?.normKey {
            transform.gradient.addGradients(
                weight: store.gradient(key + ".weight"), bias: store.gradient(key + ".bias"))
        }
        guard case .convolution(let convolution) = gradient, operation.shape.weightShape != nil else { return }
        let (key, factor) = (operation.key, operation.factor)
        let (weight, bias) = (store.gradient(key + ".weight"), store.gradient(key + ".bias"))
        guard factor != 1 else { return convolution.addGradients(weight: weight, bias: bias, pool: pool) }
        let counts = parameterCounts
        var (weights, biases) = (
            [Float](repeating: 0, count: counts.weight), [Float](repeating: 0, count: counts.bias)
        )
        convolution.addGradients(weight: &weights, bias: &biases, pool: pool)
        hw_axpy(weight, weights, factor, counts.weight)
        hw_axpy(bias, biases, factor, counts.bias)
    }

    /// Numbers of its own weight and bias, if it has any.
    private var parameterCounts: (weight: Int, bias: Int) {
        let shape = operation.shape.weightShape ?? [0]
        return (shape.reduce(1, *), shape[0])
    }
}
