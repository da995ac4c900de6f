import CKernels
public import FlowModel
import Layers
public import Tensor

/// The velocity network in both directions: v(t, x) of a batch of images, each at its own time, and from a gradient by v
/// the gradients by the parameters and by x.
///
/// It holds the activations of one evaluation of up to `capacity` images, so a small capacity bounds memory whatever the
/// batch: gradients add up over evaluations until `giveGradients`. With the same number of workers the same calls give
/// the same bits. Not for use by two threads at a time.
public final class TrainableNetwork {
    /// The network spelled out.
    public let layout: UNetLayout
    /// Most images in an evaluation.
    public let capacity: Int
    let workspace: Workspace

    private struct Stage {
        let blocks: [any TrainableBlock]
        /// The maps between blocks: one fewer than there are blocks.
        let between: [OwnedFeatureMap]
    }

    private let stages: [Stage]
    private let finalNorm: TrainableNorm
    private let finalConvolution: TrainableConvolution
    private let embedding: TrainableTimeEmbedding
    private let activations: Joints
    private let gradients: Joints
    private let memory: GradientMemory
    private let parts: [any Trainable]

    private var encoderCount: Int { layout.inputBlocks.count }

    /// Lays the network out with all weights zero; `takeValues` must follow.
    public init(layout: UNetLayout, capacity: Int, kernels: Kernels, pool: WorkerPool) {
        precondition(capacity > 0)
        self.layout = layout
        self.capacity = capacity
        var builder = Builder(heads: layout.architecture.heads, capacity: capacity, pool: pool)
        stages = (layout.inputBlocks + [layout.middle] + layout.outputBlocks).map { builder.stage($0) }
        embedding = TrainableTimeEmbedding(
            channels: layout.architecture.modelChannels, width: layout.embeddingWidth, blocks: builder.films,
            capacity: capacity)
        let side = layout.architecture.imageSize
        finalNorm = TrainableNorm("out.0", channels: layout.finalChannels, isActivated: true, capacity: capacity)
        finalConvolution = TrainableConvolution(
            "out.2", inputs: layout.finalChannels, outputs: 3, side: side, pool: pool)
        activations = Joints(layout, capacity: capacity)
        gradients = Joints(layout, capacity: capacity)
        memory = GradientMemory(capacity: capacity)
        parts = [embedding] + stages.flatMap { $0.blocks as [any Trainable] } + [finalNorm, finalConvolution]
        workspace = Workspace(
            kernels: kernels, pool: pool, scratchFloats: parts.reduce(0) { max($0, $1.scratchFloats) })
    }

    /// Numbers in a state: 3·side².
    public var stateCount: Int { 3 * layout.architecture.imageSize * layout.architecture.imageSize }

    /// Takes the store's values; to be called whenever they have changed.
    public func takeValues(from store: ParameterStore) {
        for part in parts { part.takeValues(from: store, pool: workspace.pool) }
    }

    /// Adds the gradients that have come together since the last call to the store's.
    public func giveGradients(to store: ParameterStore) {
        for part in parts { part.giveGradients(to: store, pool: workspace.pool) }
    }

    /// Evaluates v(t, x) for as many images as there are times, and keeps what the backward pass needs.
    /// - Parameters:
    ///   - states: [times.count][3][side][side].
    ///   - times: of each image; at most `capacity`.
    ///   - velocities: receives [times.count][3][side][side].
    public func forward(
        _ states: UnsafePointer<Float>, times: ArraySlice<Float>, velocities: UnsafeMutablePointer<Float>
    ) {
        let pass = run(states, times: times, through: stages.count - 1)
        let pixels = activations.image.map.side * activations.image.map.side
        finalConvolution.layer.forward(
            activations.output(stages.count - 1), normalization: finalNorm.reading(), into: activations.velocity.map,
            batch: pass.batch, on: workspace)
        for n in 0..<times.count {
            hw_unblock_rgb(velocities + n * 3 * pixels, activations.velocity.map.image(n), pixels)
        }
    }

    /// Takes a gradient by the velocities of the last `forward` back; the parameters' gradients add up.
    /// - Parameters:
    ///   - velocityGradients: [batch][3][side][side], for the batch of the last `forward`.
    ///   - stateGradients: receives the gradient by the states, [batch][3][side][side]; nil if nobody wants it.
    public func backward(
        _ velocityGradients: UnsafePointer<Float>, batch: Int, stateGradients: UnsafeMutablePointer<Float>?
    ) {
        precondition(batch > 0 && batch <= capacity)
        let pass = pass(batch)
        let velocityGradient = gradients.velocity.map
        let pixels = velocityGradient.side * velocityGradient.side
        for n in 0..<batch { hw_block_rgb(velocityGradient.image(n), velocityGradients + n * 3 * pixels, pixels) }
        let last = activations.output(stages.count - 1)
        let lastGradient = gradients.output(stages.count - 1)
        finalConvolution.gradient.accumulate(
            last, normalization: finalNorm.reading(), outputGradient: velocityGradient, batch: batch, on: workspace)
        finalConvolution.gradient.inputGradient(
            velocityGradient, into: lastGradient, normalization: (finalNorm.gradient, last, nil), batch: batch,
            on: workspace)
        finalNorm.gradient.finish(
            lastGradient, input: last, addend: nil, into: lastGradient, batch: batch, on: workspace)
        for index in stages.indices.reversed() { runBackward(index, pass, wantsImage: stateGradients != nil) }
        embedding.backward(batch: batch, on: workspace)
        if let stateGradients {
            for n in 0..<batch { hw_unblock_rgb(stateGradients + n * 3 * pixels, gradients.image.map.image(n), pixels) }
        }
    }

    /// Evaluates the network as far as `place` for as many images as there are times, and keeps what the backward pass needs.
    /// - Parameters:
    ///   - states: [times.count][3][side][side].
    ///   - times: of each image; at most `capacity`.
    ///   - place: one that the layout has.
    /// - Returns: the spatial means of the activations there, [times.count][channels].
    public func forward(_ states: UnsafePointer<Float>, times: ArraySlice<Float>, to place: ActivationPlace) -> [Float]
    {
        let index = stage(at: place)
        _ = run(states, times: times, through: index)
        let map = activations.output(index)
        var means = [Float](repeating: 0, count: map.channels)
        return (0..<times.count).flatMap { n in
            map.spatialMeans(ofImage: n, into: &means)
            return means
        }
    }

    /// Takes a gradient by the spatial means of the last `forward(_:times:to:)`, [batch][channels], back; the parameters'
    /// gradients add up.
    /// - Parameter stateGradients: receives the gradient by the states, [batch][3][side][side]; nil if nobody wants it.
    public func backward(
        _ meanGradients: [Float], from place: ActivationPlace, batch: Int, stateGradients: UnsafeMutablePointer<Float>?
    ) {
        precondition(batch > 0 && batch <= capacity)
        let index = stage(at: place)
        let pass = pass(batch)
        // What stages behind the place would have given.
        embedding.clearFilmGradients()
        for encoder in 0..<min(encoderCount, index) where isSkipped(encoder, at: index) {
            gradients.output(encoder).clear(batch: batch)
        }
        gradients.output(index).spread(meanGradients, batch: batch)
        for index in (0...index).reversed() { runBackward(index, pass, wantsImage: stateGradients != nil) }
        embedding.backward(batch: batch, on: workspace)
        guard let stateGradients else { return }
        let pixels = gradients.image.map.side * gradients.image.map.side
        for n in 0..<batch { hw_unblock_rgb(stateGradients + n * 3 * pixels, gradients.image.map.image(n), pixels) }
    }

    /// The stage whose output a place is.
    private func stage(at place: ActivationPlace) -> Int {
        switch place {
        case .down(let i): i
        case .middle: encoderCount
        case .up(let i): encoderCount + 1 + i
        }
    }

    /// Whether the decoder's stage that an encoder's stage skips to lies behind stage `last`.
    private func isSkipped(_ encoder: Int, at last: Int) -> Bool { 2 * encoderCount - encoder > last }

    private func run(_ states: UnsafePointer<Float>, times: ArraySlice<Float>, through last: Int) -> Pass {
        precondition(!times.isEmpty && times.count <= capacity)
        let pass = pass(times.count)
        embedding.forward(times, on: workspace)
        let pixels = activations.image.map.side * activations.image.map.side
        for i in 0..<times.count {
            hw_block_rgb(activations.image.map.image(i), states + i * 3 * pixels, pixels)
        }
        for index in 0...last { runForward(index, pass) }
        return pass
    }

    /// Bytes of activations and of gradients by them; packed weights and their sums are not counted.
    public var byteCount: Int { activations.byteCount + gradients.byteCount + memory.byteCount + workspace.byteCount }

    private func pass(_ batch: Int) -> Pass {
        Pass(
            batch: batch, workspace: workspace, film: UnsafePointer(embedding.film),
            filmGradient: UnsafePointer(embedding.filmGradient), memory: memory)
    }

    private func runForward(_ index: Int, _ pass: Pass) {
        let stage = stages[index]
        var current = activations.input(index)
        for (i, block) in stage.blocks.enumerated() {
            let target = i < stage.between.count ? stage.between[i].map : activations.output(index)
            block.forward(current, into: target, pass: pass)
            current = target
        }
    }

    private func runBackward(_ index: Int, _ pass: Pass, wantsImage: Bool) {
        let stage = stages[index]
        var gradient = gradients.output(index)
        for i in stage.blocks.indices.reversed() {
            let input = i == 0 ? activations.input(index) : stage.between[i - 1].map
            if i == 0 {
                // An encoder stage's output has a gradient already, from the decoder stage that it skips to.
                stage.blocks[i].backward(
                    input, outputGradient: gradient,
                    inputGradient: index == 0 && !wantsImage ? nil : gradients.input(index),
                    adds: (1...encoderCount).contains(index), pass: pass)
            } else {
                let target = memory.map(.between(i), channels: input.channels, side: input.side)
                stage.blocks[i].backward(
                    input, outputGradient: gradient, inputGradient: target, adds: false, pass: pass)
                gradient = target
            }
        }
    }

    /// Walks the layout, making blocks and gathering what spans them.
    private struct Builder {
        let heads: Int
        let capacity: Int
        let pool: WorkerPool
        var films: [(key: String, channels: Int)] = []
        var filmOffset = 0

        mutating func stage(_ stage: UNetLayout.Stage) -> Stage {
            let blocks = stage.blocks.map { block($0, side: stage.inputSize) }
            let between = stage.blocks.dropLast().map {
                OwnedFeatureMap(capacity: capacity, channels: $0.outputChannels, side: stage.inputSize)
            }
            return Stage(blocks: blocks, between: between)
        }

        private mutating func block(_ block: UNetLayout.Block, side: Int) -> any TrainableBlock {
            switch block {
            case .convolution(let key, let inputs, let outputs):
                return TrainableConvolution(key, inputs: inputs, outputs: outputs, side: side, pool: pool)
            case .downsample(let key, let channels):
                return TrainableConvolution(
                    key + ".op", inputs: channels, outputs: channels, side: side, resampling: .down, pool: pool)
            case .upsample(let key, let channels):
                return TrainableConvolution(
                    key + ".conv", inputs: channels, outputs: channels, side: side, resampling: .up, pool: pool)
            case .attention(let key, let channels):
                return TrainableAttention(
                    key, channels: channels, heads: heads, side: side, capacity: capacity, pool: pool)
            case .residual(let key, let inputs, let outputs):
                defer { filmOffset += 2 * outputs }
                films.append((key, outputs))
                return TrainableResidual(
                    key, inputs: inputs, outputs: outputs, side: side, filmOffset: filmOffset, capacity: capacity,
                    pool: pool)
            }
        }
    }
}
