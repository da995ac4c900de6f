/// What a model answered to a fixed input when its file was written, kept in the file, so that its loader can tell
/// whether it still computes the same.
///
/// The input is `SelfTestRecord.input(seed:count:)`, taken as the normalised image. Of each result, `count` numbers spread
/// evenly over its `total` are kept: those at `k·total/count`, rounded down. They are the stored weights' own, rounding to
/// f16 or bf16 included.
public struct SelfTestRecord: Codable, Sendable, Equatable {
    /// How many numbers of a result are kept, if it has so many.
    public static let keptCount = 32
    /// The deviation that is allowed for: instruction sets differ by about 1e-6, damage and wrong code by far more.
    public static let usualTolerance: Float = 1e-3

    /// Seed of the input.
    public var seed: UInt32
    /// What was read, such as `end/pooled` (see `ReverseODE.Tap`).
    public var tap: String
    /// Numbers of the tap.
    public var embedding: [Float]
    /// Numbers of the logits; nil for a model without a head.
    public var logits: [Float]?
    /// The greatest difference allowed in either result, relative to the largest magnitude among its recorded numbers.
    public var tolerance: Float

    /// Puts a record together.
    public init(
        seed: UInt32, tap: String, embedding: [Float], logits: [Float]?,
        tolerance: Float = SelfTestRecord.usualTolerance
    ) {
        self.seed = seed
        self.tap = tap
        self.embedding = embedding
        self.logits = logits
        self.tolerance = tolerance
    }

    /// The input of a seed: `count` numbers uniform in -2 ..< 2, the range of a normalised image. The top 24 bits of each
    /// number of SplitMix64 (Steele, Lea and Flood 2014), so that any program can make them.
    public static func input(seed: UInt32, count: Int) -> [Float] {
        var state = UInt64(seed)
        return (0..<count).map { _ in
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            return Float((mixed ^ mixed >> 31) >> 40) / Float(1 << 22) - 2
        }
    }

    /// `count` of `values`, evenly spread; all if there are fewer.
    public static func sample(_ values: [Float], count: Int = keptCount) -> [Float] {
        let kept = min(count, values.count)
        return (0..<kept).map { values[$0 * values.count / kept] }
    }

    func validate(head: HeadConfiguration?) throws(ConfigurationError) {
        try require(
            tolerance >= 1e-6 && tolerance <= 0.1, "selfTest.tolerance", "\(tolerance) is not in 0.000001...0.1")
        try require(
            ModelConfiguration.isTapText(tap), "selfTest.tap",
            "must be 1 to 64 printable ASCII characters, such as end/pooled")
        try require(
            isSample(embedding, of: .max), "selfTest.embedding", "must be 1 to \(Self.keptCount) finite numbers")
        try require(
            (logits == nil) == (head == nil), "selfTest.logits",
            head == nil ? "the model has no head to compute them" : "is missing; the model has a head")
        if let logits, let head {
            try require(
                isSample(logits, of: head.classes), "selfTest.logits",
                "must be 1 to \(min(Self.keptCount, head.classes)) finite numbers")
        }
    }

    private func isSample(_ values: [Float], of total: Int) -> Bool {
        (1...min(Self.keptCount, total)).contains(values.count) && values.allSatisfy(\.isFinite)
    }
}
