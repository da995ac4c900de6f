import FlowModel

/// What is known of a model's flow before its user states anything.
struct FlowStatement {
    /// What the network predicts; nil if the user must say.
    var prediction: Prediction?
    /// What the time labels are multiples of.
    var timeScale = 1.0
    /// Where the times of a velocity begin and end.
    var velocity = (data: 1.0, noise: 0.0)

    /// The flow with what the user states, and what was assumed.
    ///
    /// - Throws: `ImportError` if something is missing or contradicts itself.
    func flow(_ settings: ImportSettings) throws -> (flow: Flow, assumptions: [String]) {
        if let published = settings.published { return (try published.flow(settings), []) }
        var assumptions = Assumptions()
        guard let known = settings.prediction ?? prediction else {
            throw ImportError.unstated(.prediction, because: "no tensor says what the network's output means")
        }
        let predicted = assumptions.value(
            settings.prediction, .prediction, known, "the network predicts \(known.rawValue)")
        let times = try times(of: predicted, settings, &assumptions)
        let scale = assumptions.value(
            settings.timeScale, .timeScale, timeScale, "time labels are multiplied by \(timeScale)")
        return (
            .parametrised(ParametrisedFlow(prediction: predicted, times: times, timeScale: scale)), assumptions.texts
        )
    }

    /// What was assumed, as it is printed.
    private struct Assumptions {
        var texts: [String] = []

        /// What was stated, or else a value that is noted as assumed.
        mutating func value<Value>(_ stated: Value?, _ option: ImportOption, _ value: Value, _ text: String) -> Value {
            if stated == nil { texts.append("\(text) (--\(option.rawValue))") }
            return stated ?? value
        }
    }

    private func times(
        of prediction: Prediction, _ settings: ImportSettings, _ assumptions: inout Assumptions
    ) throws -> ParametrisedFlow.Times {
        let fitting: Set<ImportSettings.ScheduleKind>
        switch prediction {
        case .velocity: fitting = [.uniform]
        case .edm, .edmReversed, .vp, .ve: fitting = [.karras]
        case .epsilon, .v, .sample: fitting = [.linear, .cosine, .scaledLinear]
        }
        if let schedule = settings.schedule, !fitting.contains(schedule) {
            throw ImportError.options(
                "--schedule \(schedule.rawValue) doesn't fit --prediction \(prediction.rawValue), which goes with "
                    + fitting.map(\.rawValue).sorted().joined(separator: ", "))
        }
        switch prediction {
        case .velocity, .edm, .edmReversed, .vp, .ve:
            let isVelocity = prediction == .velocity
            try requireNone(
                of: isVelocity ? ImportOption.levels.union(Self.betaOptions) : Self.betaOptions, in: settings,
                "--prediction \(prediction.rawValue)")
            if isVelocity { return .uniform(data: velocity.data, noise: velocity.noise) }
            // EDM's sampler goes down to 0.002, and to 0.02 for VE (Karras et al. 2022, table 1).
            let smallest = prediction == .ve ? 0.02 : 0.002
            return .noise(
                try NoiseSchedule.levels(
                    smallest: assumptions.value(
                        settings.sigmaMin, .sigmaMin, smallest, "the pass begins at noise level \(smallest)"),
                    largest: assumptions.value(settings.sigmaMax, .sigmaMax, 80, "the pass ends at noise level 80"),
                    rho: assumptions.value(settings.rho, .rho, 7, "rho of the grid is 7")
                ).requireAscending())
        case .epsilon, .v, .sample:
            try requireNone(of: ImportOption.levels, in: settings, "--prediction \(prediction.rawValue)")
            guard let schedule = settings.schedule else {
                throw ImportError.unstated(.schedule, because: "no tensor says how the noise grows")
            }
            return .noise(.timesteps(try betas(of: schedule, settings, &assumptions)))
        }
    }

    private func betas(
        of schedule: ImportSettings.ScheduleKind, _ settings: ImportSettings, _ assumptions: inout Assumptions
    ) throws -> NoiseSchedule.Betas {
        let count = assumptions.value(settings.timesteps, .timesteps, 1000, "the schedule has 1000 timesteps")
        guard schedule != .cosine else {
            try requireNone(of: [.betaStart, .betaEnd], in: settings, "--schedule cosine")
            return .cosine(count: count)
        }
        // Ho et al.'s 0.0001 to 0.02 for 1000 timesteps; OpenAI's code scales them to other numbers.
        let (first, last) = (0.1 / Double(count), 20 / Double(count))
        let start = assumptions.value(settings.betaStart, .betaStart, first, "the noise begins with \(first)")
        let end = assumptions.value(settings.betaEnd, .betaEnd, last, "the noise ends with \(last)")
        return schedule == .linear
            ? .linear(count: count, start: start, end: end) : .scaledLinear(count: count, start: start, end: end)
    }

    /// Those of timesteps.
    private static let betaOptions: Set<ImportOption> = [.timesteps, .betaStart, .betaEnd]

    private func requireNone(of options: Set<ImportOption>, in settings: ImportSettings, _ stated: String) throws {
        if let option = settings.given.intersection(options).map(\.rawValue).min() {
            throw ImportError.options("--\(option) doesn't apply to \(stated)")
        }
    }
}

extension NoiseSchedule {
    /// These levels, if the smallest is less than the largest.
    ///
    /// - Throws: `ImportError`.
    fileprivate func requireAscending() throws -> NoiseSchedule {
        if case .levels(let smallest, let largest, _) = self, smallest >= largest {
            throw ImportError.options("--sigma-min \(smallest) must be less than --sigma-max \(largest)")
        }
        return self
    }
}

extension PublishedModel {
    /// What it was trained on, with the grid of noise levels that the user states.
    ///
    /// - Throws: `ImportError` if the noise levels don't ascend.
    fileprivate func flow(_ settings: ImportSettings) throws -> Flow {
        guard case .parametrised(var flow) = flow, case .noise(.levels(let smallest, let largest, let rho)) = flow.times
        else { return flow }
        flow.times = .noise(
            try NoiseSchedule.levels(
                smallest: settings.sigmaMin ?? smallest, largest: settings.sigmaMax ?? largest, rho: settings.rho ?? rho
            ).requireAscending())
        return .parametrised(flow)
    }
}
