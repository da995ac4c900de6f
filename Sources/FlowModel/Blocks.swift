import Layers
import Tensor

/// A residual block (PRG, section 1): x ↦ skip(x) + conv(SiLU(GN(conv(SiLU(GN(x))))·(1 + scale) + shift)).
final class ResidualBlock: Sendable {
    private let inputNorm: GroupNorm
    private let inputConvolution: Convolution
    private let outputNorm: GroupNorm
    private let outputConvolution: Convolution
    private let skip: PointwiseConvolution?
    private let filmOffset: Int
    private let key: String

    /// Channels of the map between the two convolutions.
    var hiddenChannels: Int { outputConvolution.inputs }

    init(
        key: String, inputs: Int, outputs: Int, side: Int, filmOffset: Int, parameters: ParameterSource,
        precision: Precision, pool: WorkerPool
    ) throws {
        func group(_ name: String) throws -> GroupNorm {
            GroupNorm(weight: try parameters("\(key).\(name).weight"), bias: try parameters("\(key).\(name).bias"))
        }
        func convolution(_ name: String, inputs: Int) throws -> Convolution {
            Convolution(
                weight: try parameters("\(key).\(name).weight"), bias: try parameters("\(key).\(name).bias"),
                inputs: inputs, outputs: outputs, side: side, precision: precision, pool: pool)
        }
        inputNorm = try group("in_layers.0")
        inputConvolution = try convolution("in_layers.2", inputs: inputs)
        outputNorm = try group("out_layers.0")
        outputConvolution = try convolution("out_layers.3", inputs: outputs)
        self.filmOffset = filmOffset
        skip =
            inputs == outputs
            ? nil
            : PointwiseConvolution(
                weight: try parameters("\(key).skip_connection.weight"),
                bias: try parameters("\(key).skip_connection.bias"), inputs: inputs, outputs: outputs,
                precision: precision)
        self.key = key
    }

    func plans(side: Int, batch: Int, on pool: WorkerPool) -> [(key: String, plan: LayerPlan)] {
        var plans = [
            ("\(key).in_layers.2", inputConvolution.plan(batch: batch, on: pool)),
            ("\(key).out_layers.3", outputConvolution.plan(batch: batch, on: pool)),
        ]
        if let skip {
            plans.insert(
                ("\(key).skip_connection", skip.plan(side: side, batch: batch, on: pool)), at: 1)
        }
        return plans
    }

    func scratchFloats(side: Int) -> Int {
        max(
            inputConvolution.scratchFloats, outputConvolution.scratchFloats, skip?.scratchFloats(side: side) ?? 0)
    }

    /// `hidden` is memory for `hiddenChannels` channels.
    func forward(
        _ input: FeatureMap, hidden: FeatureMap, into output: FeatureMap, film: UnsafePointer<UnsafePointer<Float>>,
        batch: Int, on workspace: Workspace
    ) {
        inputConvolution.forward(
            input, normalization: Normalization(inputNorm, isActivated: true), into: hidden, batch: batch, on: workspace
        )
        skip?.forward(
            input, normalization: nil, into: output, recordsMoments: false, batch: batch, on: workspace)
        outputConvolution.forward(
            hidden,
            normalization: Normalization(
                outputNorm, film: Normalization.Film(rows: film, offset: filmOffset), isActivated: true),
            into: output, residual: skip == nil ? input : output, batch: batch, on: workspace)
    }
}

/// An attention block (PRG, section 1): x ↦ x + proj(attention(qkv(GN(x)))).
final class AttentionBlock: Sendable {
    private let norm: GroupNorm
    private let queryKeyValue: PointwiseConvolution
    private let projection: PointwiseConvolution
    private let attention: Attention
    private let key: String

    /// Channels of the map of queries, keys and values.
    var queryKeyValueChannels: Int { queryKeyValue.outputs }
    /// Channels of the map of attended values.
    var attendedChannels: Int { attention.paddedChannels }

    init(
        key: String, channels: Int, heads: Int, parameters: ParameterSource, precision: Precision
    ) throws {
        self.key = key
        attention = Attention(channels: channels, heads: heads)
        norm = GroupNorm(weight: try parameters("\(key).norm.weight"), bias: try parameters("\(key).norm.bias"))
        queryKeyValue = attention.queryKeyValueConvolution(
            weight: try parameters("\(key).qkv.weight"), bias: try parameters("\(key).qkv.bias"),
            precision: precision)
        projection = attention.projection(
            weight: try parameters("\(key).proj_out.weight"), bias: try parameters("\(key).proj_out.bias"),
            precision: precision)
    }

    func plans(side: Int, batch: Int, on pool: WorkerPool) -> [(key: String, plan: LayerPlan)] {
        [
            ("\(key).qkv", queryKeyValue.plan(side: side, batch: batch, on: pool)),
            ("\(key)", attention.plan(side: side, on: pool)),
            ("\(key).proj_out", projection.plan(side: side, batch: batch, on: pool)),
        ]
    }

    func scratchFloats(side: Int) -> Int {
        max(
            queryKeyValue.scratchFloats(side: side), projection.scratchFloats(side: side),
            attention.scratchFloats(side: side))
    }

    /// `mixed` and `attended` are memory for `queryKeyValueChannels` and `attendedChannels` channels.
    func forward(
        _ input: FeatureMap, mixed: FeatureMap, attended: FeatureMap, into output: FeatureMap, batch: Int,
        on workspace: Workspace
    ) {
        queryKeyValue.forward(
            input, normalization: Normalization(norm, isActivated: false), into: mixed, recordsMoments: false,
            batch: batch, on: workspace)
        attention.forward(mixed, into: attended, batch: batch, on: workspace)
        projection.forward(
            attended, normalization: nil, into: output, residual: input, recordsMoments: true, batch: batch,
            on: workspace)
    }
}
