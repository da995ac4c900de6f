public import Layers
public import Tensor

/// The velocity network v(t, x) with its weights packed for this processor's kernels and its time embeddings computed
/// for the times at which it will be evaluated. Immutable; any number of evaluators may share it.
public final class VelocityNetwork: Sendable {
    /// The network spelled out.
    public let layout: UNetLayout
    /// The times at which it can be evaluated.
    public let times: [Float]
    /// What its products are computed in.
    public let precision: Precision

    enum Block: Sendable {
        case convolution(key: String, Convolution)
        case residual(ResidualBlock)
        case attention(AttentionBlock)
    }

    struct Stage: Sendable {
        let blocks: [Block]
        let layout: UNetLayout.Stage
    }

    let input: [Stage]
    let middle: Stage
    let output: [Stage]
    let finalNorm: GroupNorm
    let finalConvolution: Convolution
    let film: FilmTable
    /// Bytes of weights as they were packed.
    let weightBytes: Int

    /// Packs the weights.
    /// - Parameters:
    ///   - layout: which parameters there are.
    ///   - times: distinct times at which the network will be evaluated; images name them by index.
    ///   - precision: what its products are computed in.
    ///   - kernels: what embeds the times.
    ///   - pool: workers that share the packing.
    ///   - parameters: gives each parameter once; what it throws is rethrown.
    public init(
        layout: UNetLayout, times: [Float], precision: Precision = .f32, kernels: Kernels = .best, pool: WorkerPool,
        parameters: @escaping ParameterSource
    ) throws {
        self.layout = layout
        self.times = times
        self.precision = precision
        let embedding = try TimeEmbedding.activated(
            times: times, channels: layout.architecture.modelChannels, kernels: kernels, parameters: parameters)
        var builder = Builder(
            layout: layout, timeCount: times.count, embedding: embedding, precision: precision, kernels: kernels,
            pool: pool, parameters: parameters)
        input = try layout.inputBlocks.map { try builder.stage($0) }
        middle = try builder.stage(layout.middle)
        output = try layout.outputBlocks.map { try builder.stage($0) }
        finalNorm = GroupNorm(weight: try parameters("out.0.weight"), bias: try parameters("out.0.bias"))
        finalConvolution = Convolution(
            weight: try parameters("out.2.weight"), bias: try parameters("out.2.bias"), inputs: layout.finalChannels,
            outputs: 3, side: layout.architecture.imageSize, precision: precision, pool: pool)
        film = FilmTable(timeCount: times.count, columns: builder.filmColumns)
        weightBytes = Self.plans(of: input + [middle] + output, finalConvolution, batch: 1, on: pool)
            .reduce(0) { $0 + $1.plan.weightBytes }
    }

    /// Whether in batches of `batch` images, all of which are wanted whole, each of `workers` evaluates images of its own, rather
    /// than all of them sharing every layer.
    public func isDividedByImages(batch: Int, workers: Int) -> Bool {
        Self.isDividedByImages(batch: batch, workers: workers, weightBytes: weightBytes)
    }

    /// Workers that go their own ways read all weights each for itself. That costs nothing where these stay in a shared cache; where
    /// they don't, several images a worker must make up for it, or many workers would wait for the memory.
    static func isDividedByImages(batch: Int, workers: Int, weightBytes: Int) -> Bool {
        guard workers > 1, batch % workers == 0 else { return false }
        return batch / workers >= 4 || weightBytes <= 32 << 20
    }

    /// How every layer is computed in batches of `batch` images on `pool`, by key, in order; where they are divided by images, by
    /// one worker.
    public func plans(batch: Int, on pool: WorkerPool) -> [(key: String, plan: LayerPlan)] {
        let isDivided = isDividedByImages(batch: batch, workers: pool.count)
        return Self.plans(
            of: input + [middle] + output, finalConvolution, batch: isDivided ? batch / pool.count : batch,
            on: isDivided ? WorkerPool(count: 1, domains: .undivided) : pool)
    }

    private static func plans(
        of stages: [Stage], _ finalConvolution: Convolution, batch: Int, on pool: WorkerPool
    ) -> [(key: String, plan: LayerPlan)] {
        let plans = stages.flatMap { stage in
            stage.blocks.flatMap { block in
                switch block {
                case .convolution(let key, let convolution):
                    [(key: key, plan: convolution.plan(batch: batch, on: pool))]
                case .residual(let residual):
                    residual.plans(side: stage.layout.inputSize, batch: batch, on: pool)
                case .attention(let attention):
                    attention.plans(side: stage.layout.inputSize, batch: batch, on: pool)
                }
            }
        }
        return plans + [("out.2", finalConvolution.plan(batch: batch, on: pool))]
    }

    /// Floats of scratch that a worker needs.
    var scratchFloats: Int {
        let stages = (input + [middle] + output).flatMap { stage in
            stage.blocks.map { block in
                switch block {
                case .convolution(_, let convolution): convolution.scratchFloats
                case .residual(let residual): residual.scratchFloats(side: stage.layout.inputSize)
                case .attention(let attention): attention.scratchFloats(side: stage.layout.inputSize)
                }
            }
        }
        return max(stages.max() ?? 0, finalConvolution.scratchFloats)
    }

    /// Walks the layout, building blocks and gathering what spans them.
    private struct Builder {
        let layout: UNetLayout
        let timeCount: Int
        let embedding: [Float]
        let precision: Precision
        let kernels: Kernels
        let pool: WorkerPool
        let parameters: ParameterSource
        var filmColumns: [[Float]] = []
        var filmOffset = 0

        mutating func stage(_ stage: UNetLayout.Stage) throws -> Stage {
            Stage(blocks: try stage.blocks.map { try block($0, side: stage.inputSize) }, layout: stage)
        }

        private mutating func block(_ block: UNetLayout.Block, side: Int) throws -> Block {
            switch block {
            case .convolution(let key, let inputs, let outputs):
                return .convolution(key: key, try convolution(key, inputs, outputs, side: side, resampling: .none))
            case .downsample(let key, let channels):
                return .convolution(
                    key: key + ".op", try convolution(key + ".op", channels, channels, side: side, resampling: .down))
            case .upsample(let key, let channels):
                return .convolution(
                    key: key + ".conv", try convolution(key + ".conv", channels, channels, side: side, resampling: .up))
            case .residual(let key, let inputs, let outputs):
                let residual = try ResidualBlock(
                    key: key, inputs: inputs, outputs: outputs, side: side, filmOffset: filmOffset,
                    parameters: parameters, precision: precision, pool: pool)
                let projection = try TimeEmbedding.linear(
                    key + ".emb_layers.1", inputs: layout.embeddingWidth, outputs: 2 * outputs, parameters: parameters)
                filmColumns.append(projection(embedding, kernels: kernels))
                filmOffset += 2 * outputs
                return .residual(residual)
            case .attention(let key, let channels):
                return .attention(
                    try AttentionBlock(
                        key: key, channels: channels, heads: layout.architecture.heads, parameters: parameters,
                        precision: precision))
            }
        }

        private func convolution(
            _ key: String, _ inputs: Int, _ outputs: Int, side: Int, resampling: Convolution.Resampling
        ) throws -> Convolution {
            Convolution(
                weight: try parameters(key + ".weight"), bias: try parameters(key + ".bias"), inputs: inputs,
                outputs: outputs, side: side, resampling: resampling, precision: precision, pool: pool)
        }
    }
}
