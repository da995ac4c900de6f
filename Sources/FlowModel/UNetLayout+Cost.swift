extension UNetLayout {
    /// Floating-point operations of one evaluation for one image: two for every multiply-add of the convolutions, linear
    /// layers and attention products. Normalisations, activations and the like, below a hundredth of it, aren't counted,
    /// and neither is the time embedding, which is computed once for all images.
    public var floatingPointOperations: Int {
        let positions = architecture.imageSize * architecture.imageSize
        return 2 * (multiplyAdds(stages[...]) + 9 * finalChannels * 3 * positions)
    }

    /// Those of an evaluation that goes as far as `place`, one of this layout's `places`.
    public func floatingPointOperations(through place: ActivationPlace) -> Int {
        2 * multiplyAdds(stages.prefix(stages(through: place)))
    }

    private var stages: [Stage] { inputBlocks + [middle] + outputBlocks }

    private func multiplyAdds(_ stages: ArraySlice<Stage>) -> Int {
        stages.reduce(0) { sum, stage in stage.blocks.reduce(sum) { $0 + multiplyAdds($1, in: stage) } }
    }

    private func multiplyAdds(_ block: Block, in stage: Stage) -> Int {
        let inputPositions = stage.inputSize * stage.inputSize
        let outputPositions = stage.outputSize * stage.outputSize
        switch block {
        case .convolution(_, let inputs, let outputs):
            return 9 * inputs * outputs * outputPositions
        case .residual(_, let inputs, let outputs):
            let skip = inputs == outputs ? 0 : inputs * outputs
            return (9 * inputs * outputs + 9 * outputs * outputs + skip) * inputPositions
        case .attention(_, let channels):
            let projections = 4 * channels * channels * inputPositions
            return projections + 2 * channels * inputPositions * inputPositions
        case .downsample(_, let channels), .upsample(_, let channels):
            return 9 * channels * channels * outputPositions
        }
    }
}

extension UNetLayout {
    /// How many numbers the network has learned.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }
}
