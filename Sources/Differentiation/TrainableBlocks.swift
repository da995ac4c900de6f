import Layers
import Tensor

/// One block of a stage in both directions. A block keeps the maps that its backward pass reads; `backward` computes the
/// gradient by its input, or adds it to what is there.
protocol TrainableBlock: Trainable {
    func forward(_ input: FeatureMap, into output: FeatureMap, pass: Pass)
    func backward(
        _ input: FeatureMap, outputGradient: FeatureMap, inputGradient: FeatureMap?, adds: Bool, pass: Pass)
}

extension TrainableConvolution: TrainableBlock {
    func forward(_ input: FeatureMap, into output: FeatureMap, pass: Pass) {
        layer.forward(input, normalization: nil, into: output, batch: pass.batch, on: pass.workspace)
    }

    func backward(
        _ input: FeatureMap, outputGradient: FeatureMap, inputGradient: FeatureMap?, adds: Bool, pass: Pass
    ) {
        gradient.accumulate(
            input, normalization: nil, outputGradient: outputGradient, batch: pass.batch, on: pass.workspace)
        guard let inputGradient else { return }
        gradient.inputGradient(
            outputGradient, into: inputGradient, adds: adds,
            temporary: gradient.temporary.map { pass.memory.map(.resampled, channels: $0.channels, side: $0.side) },
            batch: pass.batch, on: pass.workspace)
    }
}

/// A residual block: x ↦ skip(x) + conv(SiLU(GN(conv(SiLU(GN(x))))·(1 + scale) + shift)).
struct TrainableResidual: TrainableBlock {
    let inputNorm: TrainableNorm
    let inputConvolution: TrainableConvolution
    let outputNorm: TrainableNorm
    let outputConvolution: TrainableConvolution
    let skipKey: String
    let skip: PointwiseGradient?
    let filmOffset: Int
    let side: Int
    /// Between the two convolutions.
    let hidden: OwnedFeatureMap

    init(
        _ key: String, inputs: Int, outputs: Int, side: Int, filmOffset: Int, capacity: Int, pool: WorkerPool
    ) {
        inputNorm = TrainableNorm(key + ".in_layers.0", channels: inputs, isActivated: true, capacity: capacity)
        inputConvolution = TrainableConvolution(
            key + ".in_layers.2", inputs: inputs, outputs: outputs, side: side, pool: pool)
        outputNorm = TrainableNorm(key + ".out_layers.0", channels: outputs, isActivated: true, capacity: capacity)
        outputConvolution = TrainableConvolution(
            key + ".out_layers.3", inputs: outputs, outputs: outputs, side: side, pool: pool)
        skipKey = key + ".skip_connection"
        skip =
            inputs == outputs
            ? nil
            : PointwiseGradient(
                PointwiseConvolution(
                    weight: [Float](repeating: 0, count: inputs * outputs),
                    bias: [Float](repeating: 0, count: outputs), inputs: inputs, outputs: outputs), pool: pool)
        self.filmOffset = filmOffset
        self.side = side
        hidden = OwnedFeatureMap(capacity: capacity, channels: outputs, side: side)
    }

    private func film(_ pass: Pass) -> Normalization.Film { .init(rows: pass.film, offset: filmOffset) }

    func forward(_ input: FeatureMap, into output: FeatureMap, pass: Pass) {
        inputConvolution.layer.forward(
            input, normalization: inputNorm.reading(), into: hidden.map, batch: pass.batch, on: pass.workspace)
        skip?.layer.forward(
            input, normalization: nil, into: output, recordsMoments: false, batch: pass.batch, on: pass.workspace)
        outputConvolution.layer.forward(
            hidden.map, normalization: outputNorm.reading(film(pass)), into: output,
            residual: skip == nil ? input : output, batch: pass.batch, on: pass.workspace)
    }

    func backward(
        _ input: FeatureMap, outputGradient: FeatureMap, inputGradient: FeatureMap?, adds: Bool, pass: Pass
    ) {
        guard let inputGradient else { preconditionFailure("a residual block never comes first") }
        let (batch, workspace) = (pass.batch, pass.workspace)
        let film = film(pass)
        let hiddenGradient = pass.memory.map(.hidden, channels: hidden.map.channels, side: side)
        outputConvolution.gradient.accumulate(
            hidden.map, normalization: outputNorm.reading(film), outputGradient: outputGradient, batch: batch,
            on: workspace)
        outputConvolution.gradient.inputGradient(
            outputGradient, into: hiddenGradient, normalization: (outputNorm.gradient, hidden.map, film), batch: batch,
            on: workspace)
        outputNorm.gradient.finish(
            hiddenGradient, input: hidden.map, film: film, addend: nil, into: hiddenGradient,
            filmGradient: .init(rows: pass.filmGradient, offset: filmOffset), batch: batch, on: workspace)
        inputConvolution.gradient.accumulate(
            input, normalization: inputNorm.reading(), outputGradient: hiddenGradient, batch: batch, on: workspace)
        let unfinished = pass.memory.map(.unfinished, channels: input.channels, side: side)
        inputConvolution.gradient.inputGradient(
            hiddenGradient, into: unfinished, normalization: (inputNorm.gradient, input, nil), batch: batch,
            on: workspace)
        if let skip {
            skip.accumulate(
                input, normalization: nil, outputGradient: outputGradient, batch: batch, on: workspace)
            skip.inputGradient(outputGradient, into: inputGradient, adds: adds, batch: batch, on: workspace)
        } else if adds {
            inputGradient.add(outputGradient, batch: batch, pool: workspace.pool)
        }
        inputNorm.gradient.finish(
            unfinished, input: input, addend: skip == nil && !adds ? outputGradient : inputGradient,
            into: inputGradient, batch: batch, on: workspace)
    }

    private var parts: [any Trainable] { [inputNorm, inputConvolution, outputNorm, outputConvolution] }

    func takeValues(from store: ParameterStore, pool: WorkerPool) {
        for part in parts { part.takeValues(from: store, pool: pool) }
        skip?.repack(weight: store.value(skipKey + ".weight"), bias: store.value(skipKey + ".bias"))
    }

    func giveGradients(to store: ParameterStore, pool: WorkerPool) {
        for part in parts { part.giveGradients(to: store, pool: pool) }
        skip?.addGradients(weight: store.gradient(skipKey + ".weight"), bias: store.gradient(skipKey + ".bias"))
    }

    var scratchFloats: Int { (parts.map(\.scratchFloats) + [skip?.scratchFloats(side: side) ?? 0]).max()! }
}

/// An attention block: x ↦ x + proj(attention(qkv(GN(x)))).
struct TrainableAttention: TrainableBlock {
    let key: String
    let norm: TrainableNorm
    let attention: Attention
    let queryKeyValue: PointwiseGradient
    let projection: PointwiseGradient
    let side: Int
    /// Queries, keys and values.
    let mixed: OwnedFeatureMap
    /// Attended values.
    let attended: OwnedFeatureMap

    init(_ key: String, channels: Int, heads: Int, side: Int, capacity: Int, pool: WorkerPool) {
        self.key = key
        norm = TrainableNorm(key + ".norm", channels: channels, isActivated: false, capacity: capacity)
        attention = Attention(channels: channels, heads: heads)
        func zeros(_ count: Int) -> [Float] { [Float](repeating: 0, count: count) }
        queryKeyValue = PointwiseGradient(
            attention.queryKeyValueConvolution(weight: zeros(3 * channels * channels), bias: zeros(3 * channels)),
            pool: pool)
        projection = PointwiseGradient(
            attention.projection(weight: zeros(channels * channels), bias: zeros(channels)), pool: pool)
        self.side = side
        mixed = OwnedFeatureMap(capacity: capacity, channels: queryKeyValue.layer.outputs, side: side)
        attended = OwnedFeatureMap(capacity: capacity, channels: attention.paddedChannels, side: side)
    }

    func forward(_ input: FeatureMap, into output: FeatureMap, pass: Pass) {
        queryKeyValue.layer.forward(
            input, normalization: norm.reading(), into: mixed.map, recordsMoments: false, batch: pass.batch,
            on: pass.workspace)
        attention.forward(mixed.map, into: attended.map, batch: pass.batch, on: pass.workspace)
        projection.layer.forward(
            attended.map, normalization: nil, into: output, residual: input, recordsMoments: true, batch: pass.batch,
            on: pass.workspace)
    }

    func backward(
        _ input: FeatureMap, outputGradient: FeatureMap, inputGradient: FeatureMap?, adds: Bool, pass: Pass
    ) {
        guard let inputGradient, !adds else { preconditionFailure("an attention block never comes first in a stage") }
        let (batch, workspace) = (pass.batch, pass.workspace)
        let attendedGradient = pass.memory.map(.hidden, channels: attended.map.channels, side: side)
        let mixedGradient = pass.memory.map(.mixed, channels: mixed.map.channels, side: side)
        let unfinished = pass.memory.map(.unfinished, channels: input.channels, side: side)
        projection.accumulate(
            attended.map, normalization: nil, outputGradient: outputGradient, batch: batch, on: workspace)
        projection.inputGradient(outputGradient, into: attendedGradient, batch: batch, on: workspace)
        attention.backward(
            mixed.map, outputGradient: attendedGradient, into: mixedGradient, batch: batch, on: workspace)
        queryKeyValue.accumulate(
            input, normalization: norm.reading(), outputGradient: mixedGradient, batch: batch, on: workspace)
        queryKeyValue.inputGradient(
            mixedGradient, into: unfinished, normalization: (norm.gradient, input), batch: batch, on: workspace)
        norm.gradient.finish(
            unfinished, input: input, addend: outputGradient, into: inputGradient, batch: batch, on: workspace)
    }

    func takeValues(from store: ParameterStore, pool: WorkerPool) {
        norm.takeValues(from: store, pool: pool)
        attention.repack(
            queryKeyValue: queryKeyValue, weight: store.value(key + ".qkv.weight"),
            bias: store.value(key + ".qkv.bias"))
        attention.repack(
            projection: projection, weight: store.value(key + ".proj_out.weight"),
            bias: store.value(key + ".proj_out.bias"))
    }

    func giveGradients(to store: ParameterStore, pool: WorkerPool) {
        norm.giveGradients(to: store, pool: pool)
        attention.addQueryKeyValueGradients(
            of: queryKeyValue, weight: store.gradient(key + ".qkv.weight"), bias: store.gradient(key + ".qkv.bias"))
        attention.addProjectionGradients(
            of: projection, weight: store.gradient(key + ".proj_out.weight"),
            bias: store.gradient(key + ".proj_out.bias"))
    }

    var scratchFloats: Int {
        max(
            queryKeyValue.scratchFloats(side: side), projection.scratchFloats(side: side),
            attention.scratchFloats(side: side), attention.gradientScratchFloats(side: side))
    }
}
