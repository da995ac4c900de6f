import Layers
import Networks
import Tensor

/// What a pass through the network borrows.
struct Pass {
    let batch: Int
    let workspace: Workspace
    /// For image n a row of all modulations, and of the gradients by them.
    let modulations: UnsafePointer<UnsafePointer<Float>>
    let modulationGradients: UnsafePointer<UnsafeMutablePointer<Float>>
}

/// An operation in both directions: its layer, the gradients of that, and one rule for the way back.
struct TrainableOperation {
    private enum Gradient {
        case convolution(ConvolutionGradient)
        case pointwise(PointwiseGradient)
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
    init(_ operation: NetworkOperation, recordsMoments: Bool, capacity: Int, pool: WorkerPool) {
        let layer: PackedOperation.Layer
        switch operation.kind {
        case .convolution(let shape):
            let convolution = ConvolutionGradient(shape, pool: pool)
            (gradient, layer) = (.convolution(convolution), .convolution(convolution.layer))
        case .pointwise(let shape):
            let convolution = PointwiseGradient(shape, pool: pool)
            (gradient, layer) = (.pointwise(convolution), .pointwise(convolution.layer))
        case .attention(let attention):
            (gradient, layer) = (.attention(attention), .attention(attention))
        }
        transform = operation.transform.map { transform in
            let channels = operation.inputChannels
            let norm = GroupNorm(
                weight: [Float](repeating: 1, count: channels), bias: [Float](repeating: 0, count: channels))
            return Transform(
                norm: norm,
                gradient: InputTransformGradient(norm, isActivated: transform.isActivated, capacity: capacity))
        }
        forward = PackedOperation(operation, layer: layer, norm: transform?.norm, recordsMoments: recordsMoments)
    }

    /// Floats of scratch that a worker needs.
    var scratchFloats: Int {
        switch gradient {
        case .convolution(let convolution): convolution.scratchFloats
        case .pointwise(let convolution): convolution.scratchFloats
        case .attention(let attention): max(attention.scratchFloats, attention.gradientScratchFloats)
        }
    }

    /// Adds up the gradients by the parameters, and computes the one by the input.
    /// - Parameters:
    ///   - input: what `forward` read.
    ///   - outputGradient: by what it wrote.
    ///   - inputGradient: where the gradient by the input goes; nil if it isn't wanted.
    func backward(
        _ input: FeatureMap, outputGradient: FeatureMap, inputGradient: GradientBuffers.Contribution?, pass: Pass
    ) {
        let (batch, workspace) = (pass.batch, pass.workspace)
        let inputTransform = forward.transform(pass.modulations)
        switch gradient {
        case .convolution(let convolution):
            convolution.accumulate(
                input, transform: inputTransform, outputGradient: outputGradient, batch: batch, on: workspace)
            guard let inputGradient else { return }
            through(input, inputGradient, pass) { target, addend, call in
                convolution.inputGradient(
                    outputGradient, into: target, addend: addend, through: call, temporary: inputGradient.resampled,
                    batch: batch, on: workspace)
            }
        case .pointwise(let convolution):
            convolution.accumulate(
                input, transform: inputTransform, outputGradient: outputGradient, batch: batch, on: workspace)
            guard let inputGradient else { return }
            through(input, inputGradient, pass) { target, addend, call in
                convolution.inputGradient(
                    outputGradient, into: target, addend: addend, through: call, batch: batch, on: workspace)
            }
        case .attention(let attention):
            guard let inputGradient else { return }
            precondition(inputGradient.addend == nil, "queries, keys and values have one reader")
            attention.backward(
                input, outputGradient: outputGradient, into: inputGradient.target, batch: batch, on: workspace)
        }
    }

    /// Computes an input gradient by `layer`, and takes it through the transform, if there is one.
    private func through(
        _ input: FeatureMap, _ inputGradient: GradientBuffers.Contribution, _ pass: Pass,
        layer: (_ target: FeatureMap, _ addend: FeatureMap?, _ call: InputTransformGradient.Call?) -> Void
    ) {
        let (target, addend) = (inputGradient.target, inputGradient.addend)
        guard let transform else { return layer(target, addend, nil) }
        let modulation = operation.transform?.modulation
        let call = InputTransformGradient.Call(
            transform.gradient, input: input,
            modulation: modulation.map { InputTransform.Modulation(rows: pass.modulations, offset: $0.offset) })
        // Until the sums over groups are known, what is in the target must stay.
        let unfinished = inputGradient.addsToTarget ? inputGradient.unfinished! : target
        layer(unfinished, nil, call)
        transform.gradient.finish(
            unfinished, of: call, addend: addend, into: target,
            modulationGradient: modulation.map {
                InputTransformGradient.ModulationGradient(rows: pass.modulationGradients, offset: $0.offset)
            },
            batch: pass.batch, on: pass.workspace)
    }

    /// Takes the store's values.
    func takeValues(from store: ParameterStore, pool: WorkerPool) {
        if let transform, let key = operation.transform?.normKey {
            transform.norm.update(weight: store.value(key + ".weight"), bias: store.value(key + ".bias"))
        }
        let key = operation.key
        switch gradient {
        case .convolution(let convolution):
            convolution.repack(weight: store.value(key + ".weight"), bias: store.value(key + ".bias"), pool: pool)
        case .pointwise(let convolution):
            convolution.repack(weight: store.value(key + ".weight"), bias: store.value(key + ".bias"))
        case .attention: break
        }
    }

    /// Adds the gradients that have come together to the store's, and resets them.
    func giveGradients(to store: ParameterStore, pool: WorkerPool) {
        if let transform, let key = operation.transform?.normKey {
            transform.gradient.addGradients(
                weight: store.gradient(key + ".weight"), bias: store.gradient(key + ".bias"))
        }
        let key = operation.key
        switch gradient {
        case .convolution(let convolution):
            convolution.addGradients(
                weight: store.gradient(key + ".weight"), bias: store.gradient(key + ".bias"), pool: pool)
        case .pointwise(let convolution):
            convolution.addGradients(weight: store.gradient(key + ".weight"), bias: store.gradient(key + ".bias"))
        case .attention: break
        }
    }
}
