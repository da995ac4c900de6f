/// How the weights of a 1x1 convolution lie in a model file, if not as the convolution computes with them.
public enum WeightArrangement: Hashable, Sendable {
    /// Rows are output channels, columns are input channels.
    case plain
    /// Those that make queries, keys and values for an attention: [3·channels][channels] with the rows of a head's q, k
    /// and v one after another. Heads are padded, and the factor 1/√d is folded into q.
    case queriesKeysValues(Attention)
    /// Those that read an attention's values: [channels][channels]. The columns of heads are padded.
    case attendedValues(Attention)
}

extension PointwiseShape {
    /// Extents of the weights in a model file. Weights of a convolution over an image have two trailing extents of 1. Weights of
    /// attention have one, because the reference applies them to a sequence of pixels.
    var fileShape: [Int] {
        switch weights {
        case .plain: [outputs, inputs, 1, 1]
        case .queriesKeysValues(let attention): [3 * attention.channels, attention.channels, 1]
        case .attendedValues(let attention): [attention.channels, attention.channels, 1]
        }
    }

    package var weightShape: [Int]? { fileShape }

    /// Weights, `fileShape`, and bias as the convolution computes with them: [outputs][inputs] and [outputs].
    func arranged(
        weight: UnsafePointer<Float>, bias: UnsafePointer<Float>
    ) -> (weight: [Float], bias: [Float]) {
        guard weights != .plain else {
            return (
                Array(UnsafeBufferPointer(start: weight, count: outputs * inputs)),
                Array(UnsafeBufferPointer(start: bias, count: outputs))
            )
        }
        var arranged = [Float](repeating: 0, count: outputs * inputs)
        var arrangedBias = [Float](repeating: 0, count: outputs)
        let width = fileShape[1]
        forEachRow { source, target, factor in
            arrangedBias[target] = bias[source] * factor
            for column in 0..<width {
                arranged[target * inputs + self.column(column)] = weight[source * width + column] * factor
            }
        }
        return (arranged, arrangedBias)
    }

    /// Adds gradients with respect to the arranged weights and bias, [outputs][inputs] and [outputs], to those with respect to
    /// the file's.
    func add(
        arrangedWeight: [Float], arrangedBias: [Float], weight: UnsafeMutablePointer<Float>,
        bias: UnsafeMutablePointer<Float>
    ) {
        let width = fileShape[1]
        forEachRow { source, target, factor in
            bias[source] += arrangedBias[target] * factor
            for column in 0..<width {
                weight[source * width + column] +=
                    arrangedWeight[target * inputs + self.column(column)] * factor
            }
        }
    }

    /// Every row of the file's weights, its place among the arranged rows, and the factor folded into it.
    private func forEachRow(_ body: (_ source: Int, _ target: Int, _ factor: Float) -> Void) {
        guard case .queriesKeysValues(let attention) = weights else {
            for row in 0..<outputs { body(row, row, 1) }
            return
        }
        let (width, padded) = (attention.headChannels, attention.headBlocks * channelBlock)
        let factor = 1 / Float(width).squareRoot()
        for part in 0..<(3 * attention.heads) {
            for i in 0..<width { body(part * width + i, part * padded + i, part % 3 == 0 ? factor : 1) }
        }
    }

    /// Where column `c` of the file's weights lies.
    private func column(_ c: Int) -> Int {
        guard case .attendedValues(let attention) = weights else { return c }
        return c / attention.headChannels * attention.headBlocks * channelBlock + c % attention.headChannels
    }
}
