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
        if let published = settings.published { return (published.flow, []) }
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
            try requireNone(
                of: [.timesteps, .betaStart, .betaEnd], in: settings, "--prediction \(prediction.rawValue)")
            if prediction == .velocity { return .uniform(data: velocity.data, noise: velocity.noise) }
            // EDM's sampler goes down to 0.002, and to 0.02 for VE (Karras et al. 2022, table 1).
            return .noise(.levels(smallest: prediction == .ve ? 0.02 : 0.002, largest: 80, rho: 7))
        case .epsilon, .v, .sample:
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

    private func requireNone(of options: Set<ImportOption>, in settings: ImportSettings, _ stated: String) throws {
        if let option = settings.given.intersection(options).map(\.rawValue).min() {
            throw ImportError.options("--\(option) doesn't apply to \(stated)")
        }
    }
}
