package import FlowModel
import Foundation
package import ModelImport

extension FamilyFixture.Options {
    /// What the index says that the source doesn't state.
    package func settings(name: String) -> ImportSettings {
        var settings = ImportSettings(name: name)
        settings.imageSize = imageSize
        settings.heads = heads
        settings.headWidth = headWidth
        settings.order = qkvOrder.flatMap(QueryKeyValueOrder.init)
        settings.groups = groups
        settings.classChoice = self.class.map { .index($0) }
        settings.prediction = parametrisation.flatMap(Prediction.init)
        if let schedule { settings.state(schedule) }
        return settings
    }
}

extension ImportSettings {
    /// States a schedule.
    package mutating func state(_ stated: FamilyFixture.Schedule) {
        schedule = ScheduleKind(rawValue: stated.kind)
        (timesteps, betaStart, betaEnd, timeScale) =
            (stated.kind == "karras" ? nil : stated.timesteps, stated.betaStart, stated.betaEnd, stated.timeScale)
    }
}

extension FamilyFixture {
    /// What the importer must be told: the index's options, and for OpenAI's diffusions the schedule, which no file states.
    package func settings(name: String = "family") -> ImportSettings {
        var settings = options.settings(name: name)
        if ["improved-diffusion", "guided-diffusion"].contains(dialect) { settings.state(schedule) }
        return settings
    }

    /// The architecture that the index describes.
    package var architecture: UNetArchitecture {
        var variant = UNetVariant.reference
        variant.modulation = network.modulation == "film" ? .film : .additive
        variant.resampling =
            ["convolution": .convolution, "residual": .residual, "residual with 1x1 skip": .residualWithSkip][
                network.resampling]!
        variant.epsilon = network.epsilon
        variant.sinusoids = UNetVariant.Sinusoids(rawValue: network.sinusoids)!
        variant.frequencyShift = network.frequencyShift
        variant.downsamplingPadding = UNetVariant.Padding(rawValue: network.downsamplePadding)!
        variant.decoderAttention = network.attentionInDecoder == "last block" ? .lastBlock : .everyBlock
        variant.residualScale = network.residualScale
        variant.headWidth = network.headWidth
        let first = Int(network.channelMultipliers[0] * Double(network.modelChannels))
        let takesLevelWidth = !["edm", "rectified-flow", "rectified-flow-original"].contains(dialect)
        variant.inputWidth = takesLevelWidth && first != network.modelChannels ? first : nil
        return UNetArchitecture(
            modelChannels: network.modelChannels, residualBlocks: network.residualBlocks,
            channelMultipliers: network.channelMultipliers, attentionDownsampling: network.attentionDownsampling,
            heads: network.headWidth == nil ? network.heads ?? 1 : 1, imageSize: network.imageSize, variant: variant)
    }

    /// The flow that the index describes, as an import describes it.
    package var flow: Flow { dialect == "torchcfm" ? .path(.icfm) : .parametrised(parametrisedFlow) }

    /// The flow in terms of the formula that covers all.
    package var parametrisedFlow: ParametrisedFlow {
        ParametrisedFlow(
            prediction: Prediction(rawValue: parametrisation)!, times: schedule.times(noise: grid.time.last!),
            timeScale: schedule.timeScale ?? 1)
    }

    /// The dialect's name as the importer says it.
    package var dialectName: String {
        ["consistency-models": "consistency_models", "edm": "EDM", "rectified-flow-original": "RectifiedFlow"][dialect]
            ?? dialect
    }

    /// Runs `body` with the fixture's import.
    package func withImport<R>(
        _ settings: ImportSettings? = nil, _ body: (CheckpointImport) throws -> R
    ) throws -> R {
        try Self.withUnpacked(name) { folder in
            try body(
                CheckpointImport(path: folder.appending(path: source).path, settings: settings ?? self.settings()))
        }
    }

    /// The fixture of that name.
    package static func named(_ name: String) -> FamilyFixture { all.first { $0.name == name }! }
}

extension FamilyFixture.Schedule {
    /// The times that it has.
    ///
    /// - Parameter noise: where those of a velocity end.
    fileprivate func times(noise: Double) -> ParametrisedFlow.Times {
        switch kind {
        case "uniform": .uniform(data: dataAt!, noise: noise)
        case "karras": .noise(.levels(smallest: sigmaMin!, largest: sigmaMax!, rho: rho!))
        case "linear": .noise(.timesteps(.linear(count: timesteps!, start: betaStart!, end: betaEnd!)))
        case "scaled_linear": .noise(.timesteps(.scaledLinear(count: timesteps!, start: betaStart!, end: betaEnd!)))
        case "cosine": .noise(.timesteps(.cosine(count: timesteps!)))
        default: .noise(.timesteps(.given(betas!)))
        }
    }
}
