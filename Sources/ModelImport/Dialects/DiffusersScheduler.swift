import FlowModel
import UntrustedText

/// A `scheduler_config.json` of diffusers: the flow that the model was trained on.
struct DiffusersScheduler: Decodable {
    let className: String
    private let predictionType: String?
    private let timesteps: Int?
    private let betaSchedule: String?
    private let betaStart: Double?
    private let betaEnd: Double?
    private let betas: [Double]?
    private let rescales: Bool?
    private let sigmaMin: Double?
    private let sigmaMax: Double?
    private let sigmaData: Double?
    private let rho: Double?
    private let preconditioning: String?

    private enum CodingKeys: String, CodingKey {
        case className = "_class_name"
        case predictionType = "prediction_type"
        case timesteps = "num_train_timesteps"
        case betaSchedule = "beta_schedule"
        case betaStart = "beta_start"
        case betaEnd = "beta_end"
        case betas = "trained_betas"
        case rescales = "rescale_betas_zero_snr"
        case sigmaMin = "sigma_min"
        case sigmaMax = "sigma_max"
        case sigmaData = "sigma_data"
        case rho
        case preconditioning = "precondition_type"
    }

    /// Schedulers of a diffusion with timesteps, all of which have the same members.
    private static let discrete: Set<String> = [
        "DDPMScheduler", "DDIMScheduler", "DDIMInverseScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler",
        "LMSDiscreteScheduler", "HeunDiscreteScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler",
        "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
    ]

    /// The flow; nil if the document isn't reliable and the user must state it.
    ///
    /// - Throws: `ImportError` if it isn't supported.
    func flow() throws -> ParametrisedFlow? {
        switch className {
        case let name where Self.discrete.contains(name):
            let types: [String: Prediction] = ["epsilon": .epsilon, "sample": .sample, "v_prediction": .v]
            return ParametrisedFlow(
                prediction: try one(of: types, predictionType ?? "epsilon", "prediction_type"),
                times: .noise(.timesteps(try noise())))
        case "EDMEulerScheduler":
            // Its default, "epsilon", means the output of EDM's network.
            let types: [String: Prediction] = ["epsilon": .edm, "v_prediction": .edmReversed]
            return try levels(one(of: types, predictionType ?? "epsilon", "prediction_type"), timeScale: 1)
        case "KarrasEDMScheduler":
            // With "edm", published weights need the labels of "cm_edm", 250·ln σ.
            return preconditioning == "cm_edm" ? try levels(.edm, timeScale: 1000) : nil
        case "FlowMatchEulerDiscreteScheduler":
            // Its shift moves the points of a sampler's grid and nothing of the model.
            return ParametrisedFlow(
                prediction: .velocity, times: .uniform(data: 0, noise: 1), timeScale: Double(timesteps ?? 1000))
        case "CMStochasticIterativeScheduler":
            throw ImportError.unusable("it is a consistency model (\(quoted(className))), which has no ODE")
        case "ScoreSdeVeScheduler", "ScoreSdeVpScheduler":
            throw ImportError.unusable("it is an NCSN++ network (\(quoted(className))), which is not supported")
        default:
            throw Self.unsupported("_class_name of the scheduler is \(quoted(className))")
        }
    }

    private static func unsupported(_ problem: String) -> ImportError {
        .unusable("unsupported configuration: \(problem)")
    }

    private func one<Value>(of values: [String: Value], _ key: String, _ member: String) throws -> Value {
        guard let value = values[key] else { throw Self.unsupported("\(member) is \(quoted(key))") }
        return value
    }

    private func levels(_ prediction: Prediction, timeScale: Double) throws -> ParametrisedFlow {
        guard sigmaData ?? 0.5 == 0.5 else { throw Self.unsupported("sigma_data is \(sigmaData!), not 0.5") }
        return ParametrisedFlow(
            prediction: prediction,
            times: .noise(.levels(smallest: sigmaMin ?? 0.002, largest: sigmaMax ?? 80, rho: rho ?? 7)),
            timeScale: timeScale)
    }

    private func noise() throws -> NoiseSchedule.Betas {
        let betas = try unscaledNoise()
        return rescales ?? false ? betas.rescaledToZeroSignal : betas
    }

    private func unscaledNoise() throws -> NoiseSchedule.Betas {
        if let betas { return .given(betas) }
        // Only these have the defaults that docs/families.md lists.
        guard
            ["DDPMScheduler", "DDIMScheduler"].contains(className)
                || betaSchedule != nil && betaStart != nil && betaEnd != nil
        else { throw Self.unsupported("the scheduler states no beta_schedule, beta_start or beta_end") }
        let count = timesteps ?? 1000
        let (start, end) = (betaStart ?? 0.0001, betaEnd ?? 0.02)
        return try one(
            of: [
                "linear": .linear(count: count, start: start, end: end),
                "scaled_linear": .scaledLinear(count: count, start: start, end: end),
                "squaredcos_cap_v2": .cosine(count: count),
            ], betaSchedule ?? "linear", "beta_schedule")
    }
}

extension NoiseSchedule.Betas {
    /// The shares of noise after which no signal is left at the last timestep (Lin et al. 2024, algorithm 1).
    var rescaledToZeroSignal: NoiseSchedule.Betas {
        guard (2...10_000).contains(count) else { return self }
        let signal = noiseLevels.map { 1 / (1 + $0 * $0).squareRoot() }
        guard let first = signal.first, let last = signal.last, first > last else { return self }
        let remaining = signal.map { ($0 - last) * first / (first - last) }.map { $0 * $0 }
        return .given(zip([1] + remaining, remaining).map { 1 - $1 / $0 })
    }
}
