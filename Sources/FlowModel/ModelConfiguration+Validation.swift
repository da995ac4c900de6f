/// A configuration that can't be served: which field, and what is wrong with it.
public struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// The field's path in the configuration document, such as `architecture.heads`.
    public let field: String
    /// What is wrong and what would be right.
    public let problem: String

    /// Names a field and its problem.
    public init(field: String, problem: String) {
        self.field = field
        self.problem = problem
    }

    /// `field: problem`.
    public var description: String { "\(field): \(problem)" }
}

extension ModelConfiguration {
    /// Checks every field against what can be built and served, so that nothing after it need doubt the configuration.
    ///
    /// Upper limits (`UNetArchitecture.largestWidth` and the like) keep a hostile file from asking for absurd amounts
    /// of memory or work; they are far above the published models.
    ///
    /// - Throws: the first problem found.
    public func validate() throws(ConfigurationError) {
        try require(
            (1...Self.currentFormatVersion).contains(formatVersion), "formatVersion",
            "\(formatVersion) is not a version that this build reads, 1 to \(Self.currentFormatVersion); "
                + "import the checkpoint again")
        try require(
            isIdentifier(name), "name",
            "must be 1 to 128 of the characters A-Z a-z 0-9 . _ - and begin with a letter or digit")
        try architecture.validate()
        try head?.validate(on: architecture)
        try flow.validate()
        try grid.validate(on: flow)
        if let point = head?.point {
            let steps = grid.pointCount(on: flow) - 1
            try require(
                (0..<steps).contains(point), "head.point",
                "\(point) is not a point before the end of the grid, whose points are 0 to \(steps); a head that reads at the "
                    + "end has no point")
        }
        try preprocessing.validate(imageSize: architecture.imageSize)
        try validateLabels()
        try require(
            Self.isTapText(defaultTap), "defaultTap",
            "must be 1 to 64 printable ASCII characters, such as end/pooled")
        try selfTest?.validate(head: head)
    }

    /// Whether this could be a tap's text; whether the model has such a tap is for `ReverseODE` to say.
    static func isTapText(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }

    private func validateLabels() throws(ConfigurationError) {
        guard let labels else { return }
        guard let head else {
            throw ConfigurationError(field: "labels", problem: "the model has no head, so its labels name nothing")
        }
        try require(
            labels.count == head.classes, "labels", "has \(labels.count) entries for \(head.classes) classes")
        for (index, label) in labels.enumerated() {
            try require(
                (1...256).contains(label.utf8.count) && label.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f },
                "labels[\(index)]", "must be 1 to 256 bytes without control characters")
        }
    }
}

extension UNetArchitecture {
    /// The widest level that a configuration may ask for, in channels.
    public static let largestWidth = 4096
    /// The most levels of resolution.
    package static let mostLevels = 8

    /// Checks that the network can be built.
    ///
    /// - Throws: the first problem found.
    public func validate() throws(ConfigurationError) {
        try require(
            (32...Self.largestWidth).contains(modelChannels) && modelChannels.isMultiple(of: 32),
            "architecture.modelChannels",
            "\(modelChannels) is not a multiple of 32 (the groups of GroupNorm) from 32 to \(Self.largestWidth)")
        try require(
            (1...16).contains(residualBlocks), "architecture.residualBlocks", "\(residualBlocks) is not in 1...16")
        try require(
            (1...Self.mostLevels).contains(channelMultipliers.count), "architecture.channelMultipliers",
            "there are \(channelMultipliers.count) levels; 1 to \(Self.mostLevels) can be built")
        for multiplier in channelMultipliers {
            let width = (multiplier * Double(modelChannels)).rounded()
            try require(
                (32...Double(Self.largestWidth)).contains(width) && width.truncatingRemainder(dividingBy: 32) == 0,
                "architecture.channelMultipliers",
                "\(multiplier) times \(modelChannels) channels is not a multiple of 32 from 32 to \(Self.largestWidth)")
        }
        let shrinkage = 1 << (channelMultipliers.count - 1)
        try require((16...256).contains(imageSize), "architecture.imageSize", "\(imageSize) is not in 16...256")
        try require(
            imageSize.isMultiple(of: shrinkage), "architecture.imageSize",
            "\(imageSize) can't be halved \(channelMultipliers.count - 1) times; it must be a multiple of \(shrinkage)")
        try validateAttention()
    }

    private func validateAttention() throws(ConfigurationError) {
        let rates = channelMultipliers.indices.map { 1 << $0 }
        for (index, rate) in attentionDownsampling.enumerated() {
            try require(
                rates.contains(rate), "architecture.attentionDownsampling",
                "\(rate) is not a downsampling rate of this network, whose rates are \(rates)")
            try require(
                !attentionDownsampling[..<index].contains(rate), "architecture.attentionDownsampling",
                "\(rate) is listed twice")
        }
        try require(
            (1...Self.largestWidth).contains(heads), "architecture.heads",
            "\(heads) is not in 1...\(Self.largestWidth)")
        try variant.validate()
        try require(
            variant.headWidth == nil || heads == 1, "architecture.heads",
            "must be 1 where architecture.variant.headWidth determines the number of heads")
        for level in channelMultipliers.indices {
            let isMiddle = level == channelMultipliers.count - 1
            guard hasAttention(level: level) || isMiddle else { continue }
            try require(
                width(level: level).isMultiple(of: variant.headWidth ?? 1), "architecture.variant.headWidth",
                "the \(width(level: level)) channels at downsampling rate \(1 << level) aren't a multiple of it")
            try require(
                width(level: level).isMultiple(of: heads), "architecture.heads",
                "\(heads) heads can't share the \(width(level: level)) channels at downsampling rate \(1 << level) "
                    + "equally")
        }
    }
}

extension HeadConfiguration {
    /// Checks that the head can be built on a network of that architecture, itself valid.
    ///
    /// - Throws: the first problem found.
    public func validate(on architecture: UNetArchitecture) throws(ConfigurationError) {
        try validate()
        guard let place else { return }
        let network = try architecture.program()
        if let problem = network.problem(with: place) {
            throw ConfigurationError(field: "head.place", problem: problem)
        }
    }

    /// Checks the head's own sizes.
    ///
    /// - Throws: the first problem found.
    public func validate() throws(ConfigurationError) {
        try require((1...128).contains(pooledSize), "head.pooledSize", "\(pooledSize) is not in 1...128")
        if let hiddenWidth {
            try require((1...65_536).contains(hiddenWidth), "head.hiddenWidth", "\(hiddenWidth) is not in 1...65536")
        }
        try require((1...1_000_000).contains(classes), "head.classes", "\(classes) is not in 1...1000000")
    }
}

extension UNetVariant {
    /// Checks the numbers that can be built.
    ///
    /// - Throws: the first problem found.
    public func validate() throws(ConfigurationError) {
        func require(_ condition: Bool, _ field: String, _ problem: String) throws(ConfigurationError) {
            guard condition else { throw ConfigurationError(field: "architecture.variant." + field, problem: problem) }
        }
        try require((1e-12...1).contains(epsilon), "epsilon", "\(epsilon) is not from 1e-12 to 1")
        try require((0...1).contains(frequencyShift), "frequencyShift", "\(frequencyShift) is not 0 or 1")
        try require((0.01...1).contains(residualScale), "residualScale", "\(residualScale) is not from 0.01 to 1")
        let widths = 1...UNetArchitecture.largestWidth
        try require(widths.contains(headWidth ?? 1), "headWidth", "must be from 1 to \(widths.upperBound)")
        try require(
            inputWidth.map { widths.contains($0) && $0.isMultiple(of: 32) } ?? true, "inputWidth",
            "must be a multiple of 32 up to \(widths.upperBound)")
    }
}

extension Flow {
    /// Whether a cutoff keeps the grid's first points, as for gvp, and not its last.
    public var keepsGridBeforeCutoff: Bool { path == nil || path == .gvp }

    /// Checks that every point of every grid is finite and that time labels differ from each other.
    ///
    /// - Throws: the first problem found.
    public func validate() throws(ConfigurationError) {
        guard case .parametrised(let flow) = self else { return }
        func require(_ condition: Bool, _ field: String, _ problem: String) throws(ConfigurationError) {
            guard condition else { throw ConfigurationError(field: "flow." + field, problem: problem) }
        }
        try require(
            flow.timeScale.isFinite && (1e-6...1e6).contains(flow.timeScale), "timeScale",
            "\(flow.timeScale) is not from 0.000001 to 1000000")
        switch flow.times {
        case .uniform(let data, let noise):
            try require(
                flow.prediction == .velocity, "schedule",
                "a uniform grid needs a network that predicts velocity, not \(flow.prediction.rawValue)")
            try require(
                (0...1).contains(data) && (0...1).contains(noise) && abs(data - noise) >= 0.5, "schedule",
                "dataAt and noiseAt must be different ends of 0 to 1")
        case .noise(.levels(let smallest, let largest, let rho)):
            try require(
                [.edm, .edmReversed, .vp, .ve].contains(flow.prediction), "schedule",
                "a grid of noise levels needs edm, edm-reversed, vp or ve, not \(flow.prediction.rawValue)")
            try require(
                smallest >= 1e-6 && smallest < largest && largest <= 1e6 && smallest < NoiseLevels.largest, "schedule",
                "sigmaMin must be at least 0.000001 and less than sigmaMax, and less than \(Int(NoiseLevels.largest))")
            try require((1...100).contains(rho), "schedule", "rho must be from 1 to 100")
        case .noise(.timesteps(let betas)):
            try require(
                [.epsilon, .v, .sample].contains(flow.prediction), "schedule",
                "timesteps need epsilon, v or sample, not \(flow.prediction.rawValue)")
            try require((2...10_000).contains(betas.count), "schedule", "there must be 2 to 10000 timesteps")
            let levels = betas.noiseLevels
            try require(
                zip(levels, levels.dropFirst()).allSatisfy { $0 < $1 || $1 > NoiseLevels.largest } && levels[0] > 0,
                "schedule", "the noise must grow with each timestep: every beta must be between 0 and 1")
            try require(
                levels[1] <= NoiseLevels.largest, "schedule",
                "fewer than two timesteps have a noise level up to \(Int(NoiseLevels.largest))")
        }
    }
}

extension TimeGridConfiguration {
    /// How many points are left after the cutoff.
    public func pointCount(on flow: Flow) -> Int {
        guard let cutoff else { return count }
        return flow.keepsGridBeforeCutoff ? cutoff : count - cutoff
    }

    /// Checks that at least two times are left, so that the reverse pass has a step to take.
    ///
    /// - Parameter flow: what it is a grid of, which determines the side of the cutoff that is kept.
    /// - Throws: the first problem found.
    public func validate(on flow: Flow) throws(ConfigurationError) {
        try require((2...10_000).contains(count), "grid.count", "\(count) is not in 2...10000")
        guard let cutoff else { return }
        // Python's slices would take a negative or too large cutoff without a word; here it is a mistake.
        let allowed = flow.keepsGridBeforeCutoff ? 2...count : 0...count - 2
        try require(
            allowed.contains(cutoff), "grid.cutoff",
            "\(cutoff) leaves fewer than two of the \(count) times or lies outside the grid; "
                + "\(flow.path?.rawValue ?? "a parametrised flow") allows \(allowed.lowerBound) to \(allowed.upperBound)"
        )
    }
}

extension PreprocessingConfiguration {
    /// Checks sizes and that the normalisation gives finite numbers.
    ///
    /// - Parameter imageSize: the network's image size, which the crop must give.
    /// - Throws: the first problem found.
    public func validate(imageSize: Int) throws(ConfigurationError) {
        try require(
            cropSize == imageSize, "preprocessing.cropSize",
            "\(cropSize) is not the network's image size, \(imageSize)")
        try require(
            (cropSize...4096).contains(resizeShorterSide), "preprocessing.resizeShorterSide",
            "\(resizeShorterSide) is not between the crop size \(cropSize) and 4096")
        try require(
            mean.count == 3 && mean.allSatisfy { abs($0) <= 1000 }, "preprocessing.mean",
            "must be three finite numbers (red, green, blue) from -1000 to 1000")
        try require(
            standardDeviation.count == 3 && standardDeviation.allSatisfy { (0.0001...1000).contains($0) },
            "preprocessing.standardDeviation", "must be three numbers (red, green, blue) from 0.0001 to 1000")
    }
}

/// Throws a field's problem unless a condition holds.
func require(
    _ condition: Bool, _ field: String, _ problem: @autoclosure () -> String
) throws(ConfigurationError) {
    guard condition else { throw ConfigurationError(field: field, problem: problem()) }
}

private func isIdentifier(_ name: String) -> Bool {
    guard (1...128).contains(name.utf8.count), let first = name.utf8.first else { return false }
    let isAlphanumeric: (UInt8) -> Bool = { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
    return isAlphanumeric(first) && name.utf8.allSatisfy { isAlphanumeric($0) || "._-".utf8.contains($0) }
}
