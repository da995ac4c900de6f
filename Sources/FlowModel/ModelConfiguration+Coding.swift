extension ModelConfiguration {
    private enum CodingKeys: CodingKey {
        case formatVersion, name, architecture, head, path, flow, grid, solver, preprocessing, labels, defaultTap,
            selfTest
    }

    /// The lowest version in which a model can be written, so that older builds read every model that they can run.
    static func formatVersion(of architecture: UNetArchitecture, _ flow: Flow, _ head: HeadConfiguration?) -> Int {
        // An older build would classify by the end of the grid.
        if head?.point != nil { return 3 }
        return architecture.variant == .reference && flow.path != nil ? 1 : 2
    }

    /// Reads a document of version 1 to 3; `validate()` says whether its values can be served.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        let version = try members.decode(Int.self, forKey: .formatVersion)
        let flow: Flow =
            if version > 1, members.contains(.flow) {
                .parametrised(try members.decode(ParametrisedFlow.self, forKey: .flow))
            } else {
                .path(try members.decode(ProbabilityPath.self, forKey: .path))
            }
        self.init(
            name: try members.decode(String.self, forKey: .name),
            architecture: try members.decode(UNetArchitecture.self, forKey: .architecture),
            head: try members.decodeIfPresent(HeadConfiguration.self, forKey: .head), flow: flow,
            grid: try members.decode(TimeGridConfiguration.self, forKey: .grid),
            solver: try members.decode(Solver.self, forKey: .solver),
            preprocessing: try members.decode(PreprocessingConfiguration.self, forKey: .preprocessing),
            labels: try members.decodeIfPresent([String].self, forKey: .labels),
            defaultTap: try members.decode(String.self, forKey: .defaultTap),
            selfTest: try members.decodeIfPresent(SelfTestRecord.self, forKey: .selfTest))
        formatVersion = version
    }

    /// Writes a document of the lowest version that has a place for every member.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(Self.formatVersion(of: architecture, flow, head), forKey: .formatVersion)
        try members.encode(name, forKey: .name)
        try members.encode(architecture, forKey: .architecture)
        try members.encodeIfPresent(head, forKey: .head)
        switch flow {
        case .path(let path): try members.encode(path, forKey: .path)
        case .parametrised(let flow): try members.encode(flow, forKey: .flow)
        }
        try members.encode(grid, forKey: .grid)
        try members.encode(solver, forKey: .solver)
        try members.encode(preprocessing, forKey: .preprocessing)
        try members.encodeIfPresent(labels, forKey: .labels)
        try members.encode(defaultTap, forKey: .defaultTap)
        try members.encodeIfPresent(selfTest, forKey: .selfTest)
    }
}

extension ParametrisedFlow: Codable {
    private enum CodingKeys: CodingKey { case prediction, schedule, timeScale }

    /// `times` in a document: members that its kind doesn't have are absent.
    private struct Schedule: Codable {
        enum Kind: String, Codable {
            case uniform, linear, cosine, karras, given
            case scaledLinear = "scaled-linear"
        }

        var kind: Kind
        var dataAt: Double?
        var noiseAt: Double?
        var timesteps: Int?
        var betaStart: Double?
        var betaEnd: Double?
        var betas: [Double]?
        var sigmaMin: Double?
        var sigmaMax: Double?
        var rho: Double?

        init(_ times: Times) {
            switch times {
            case .uniform(let data, let noise):
                kind = .uniform
                (dataAt, noiseAt) = (data, noise)
            case .noise(.levels(let smallest, let largest, let rho)):
                kind = .karras
                (sigmaMin, sigmaMax, self.rho) = (smallest, largest, rho)
            case .noise(.timesteps(.linear(let count, let start, let end))):
                kind = .linear
                (timesteps, betaStart, betaEnd) = (count, start, end)
            case .noise(.timesteps(.scaledLinear(let count, let start, let end))):
                kind = .scaledLinear
                (timesteps, betaStart, betaEnd) = (count, start, end)
            case .noise(.timesteps(.cosine(let count))):
                kind = .cosine
                timesteps = count
            case .noise(.timesteps(.given(let values))):
                kind = .given
                betas = values
            }
        }

        /// The times; nil if a member that the kind has is absent.
        var times: Times? {
            switch kind {
            case .uniform:
                guard let dataAt, let noiseAt else { return nil }
                return .uniform(data: dataAt, noise: noiseAt)
            case .karras:
                guard let sigmaMin, let sigmaMax, let rho else { return nil }
                return .noise(.levels(smallest: sigmaMin, largest: sigmaMax, rho: rho))
            case .linear, .scaledLinear:
                guard let timesteps, let betaStart, let betaEnd else { return nil }
                return .noise(
                    .timesteps(
                        kind == .linear
                            ? .linear(count: timesteps, start: betaStart, end: betaEnd)
                            : .scaledLinear(count: timesteps, start: betaStart, end: betaEnd)))
            case .cosine: return timesteps.map { .noise(.timesteps(.cosine(count: $0))) }
            case .given: return betas.map { .noise(.timesteps(.given($0))) }
            }
        }
    }

    /// Reads a flow whose schedule has every member that its kind needs.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        let schedule = try members.decode(Schedule.self, forKey: .schedule)
        guard let times = schedule.times else {
            throw DecodingError.dataCorruptedError(
                forKey: .schedule, in: members,
                debugDescription: "a schedule of kind \(schedule.kind.rawValue) lacks a member")
        }
        self.init(
            prediction: try members.decode(Prediction.self, forKey: .prediction), times: times,
            timeScale: try members.decode(Double.self, forKey: .timeScale))
    }

    /// Writes a flow, its schedule without the members that other kinds have.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(prediction, forKey: .prediction)
        try members.encode(Schedule(times), forKey: .schedule)
        try members.encode(timeScale, forKey: .timeScale)
    }
}
