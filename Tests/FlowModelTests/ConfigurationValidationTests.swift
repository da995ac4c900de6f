import FlowModel
import ModelImport
import Networks
import Testing

@Suite("A configuration") struct ConfigurationValidationTests {
    static func valid() -> ModelConfiguration {
        ModelConfiguration(
            name: "headwater-cifar10", architecture: .u32,
            head: HeadConfiguration(pooledSize: 16, hiddenWidth: 768, classes: 2), path: .icfm,
            grid: TimeGridConfiguration(count: 9, cutoff: 5), preprocessing: .reference(imageSize: 32),
            labels: ["cat", "dog"],
            selfTest: SelfTestRecord(seed: 1, tap: "end/pooled", embedding: [1, -2.5], logits: [0.5, 1]))
    }

    struct Mistake: Sendable, CustomTestStringConvertible {
        let field: String
        let make: @Sendable (inout ModelConfiguration) -> Void
        var testDescription: String { field }

        init(_ field: String, _ make: @escaping @Sendable (inout ModelConfiguration) -> Void) {
            self.field = field
            self.make = make
        }
    }

    static let mistakes: [Mistake] = [
        Mistake("formatVersion") { $0.formatVersion = 4 },
        Mistake("head.point") { $0.head?.point = 3 },
        Mistake("head.point") { $0.head?.point = -1 },
        Mistake("name") { $0.name = "" },
        Mistake("name") { $0.name = "../etc" },
        Mistake("name") { $0.name = "a\nb" },
        Mistake("name") { $0.name = String(repeating: "a", count: 129) },
        Mistake("architecture.modelChannels") { $0.architecture.modelChannels = 48 },
        Mistake("architecture.modelChannels") { $0.architecture.modelChannels = 0 },
        Mistake("architecture.modelChannels") { $0.architecture.modelChannels = -32 },
        Mistake("architecture.modelChannels") { $0.architecture.modelChannels = 4128 },
        Mistake("architecture.residualBlocks") { $0.architecture.residualBlocks = 0 },
        Mistake("architecture.residualBlocks") { $0.architecture.residualBlocks = 17 },
        Mistake("architecture.channelMultipliers") { $0.architecture.channelMultipliers = [] },
        Mistake("architecture.channelMultipliers") { $0.architecture.channelMultipliers = [1, 0] },
        Mistake("architecture.channelMultipliers") { $0.architecture.channelMultipliers = [1, .infinity] },
        Mistake("architecture.channelMultipliers") { $0.architecture.channelMultipliers = [1, 33] },
        Mistake("architecture.channelMultipliers") {
            $0.architecture.channelMultipliers = Array(repeating: 1, count: 9)
        },
        Mistake("architecture.imageSize") { $0.architecture.imageSize = 8 },
        Mistake("architecture.imageSize") { $0.architecture.imageSize = 264 },
        Mistake("architecture.imageSize") { $0.architecture.imageSize = 36 },
        Mistake("architecture.attentionDownsampling") { $0.architecture.attentionDownsampling = [3] },
        Mistake("architecture.attentionDownsampling") { $0.architecture.attentionDownsampling = [16] },
        Mistake("architecture.attentionDownsampling") { $0.architecture.attentionDownsampling = [2, 2] },
        Mistake("architecture.attentionDownsampling") { $0.architecture.attentionDownsampling = [.min] },
        Mistake("architecture.heads") { $0.architecture.heads = 0 },
        Mistake("architecture.heads") { $0.architecture.heads = 3 },
        Mistake("head.pooledSize") { $0.head?.pooledSize = 0 },
        Mistake("head.place") { $0.head?.place = ActivationMeans(.down(99)) },
        Mistake("head.place") { $0.head?.place = ActivationMeans(.up(99)) },
        Mistake("head.place") { $0.head?.place = ActivationMeans(.down(0), divisions: 99) },
        Mistake("head.pooledSize") { $0.head?.pooledSize = .max },
        Mistake("head.hiddenWidth") { $0.head?.hiddenWidth = -1 },
        Mistake("head.classes") { $0.head?.classes = 0 },
        Mistake("grid.count") { $0.grid = TimeGridConfiguration(count: 1) },
        Mistake("grid.count") { $0.grid = TimeGridConfiguration(count: 10_001) },
        Mistake("grid.cutoff") { $0.grid.cutoff = 8 },
        Mistake("grid.cutoff") { $0.grid.cutoff = -1 },
        Mistake("grid.cutoff") {
            $0.flow = .path(.gvp); $0.grid.cutoff = 1
        },
        Mistake("grid.cutoff") {
            $0.flow = .path(.gvp); $0.grid.cutoff = 10
        },
        Mistake("preprocessing.cropSize") { $0.preprocessing.cropSize = 16 },
        Mistake("preprocessing.resizeShorterSide") { $0.preprocessing.resizeShorterSide = 31 },
        Mistake("preprocessing.resizeShorterSide") { $0.preprocessing.resizeShorterSide = .max },
        Mistake("preprocessing.mean") { $0.preprocessing.mean = [0, 0] },
        Mistake("preprocessing.mean") { $0.preprocessing.mean[1] = .nan },
        Mistake("preprocessing.standardDeviation") { $0.preprocessing.standardDeviation[2] = 0 },
        Mistake("preprocessing.standardDeviation") { $0.preprocessing.standardDeviation[2] = .infinity },
        Mistake("labels") { $0.labels = ["cat"] },
        Mistake("labels") {
            $0.head = nil; $0.selfTest = nil
        },
        Mistake("labels[1]") { $0.labels = ["cat", ""] },
        Mistake("labels[0]") { $0.labels = ["c\u{1B}[2Jat", "dog"] },
        Mistake("defaultTap") { $0.defaultTap = "" },
        Mistake("defaultTap") { $0.defaultTap = "end pooled" },
        Mistake("selfTest.tolerance") { $0.selfTest?.tolerance = 0 },
        Mistake("selfTest.tolerance") { $0.selfTest?.tolerance = .nan },
        Mistake("selfTest.tolerance") { $0.selfTest?.tolerance = 0.2 },
        Mistake("selfTest.tap") { $0.selfTest?.tap = "" },
        Mistake("selfTest.embedding") { $0.selfTest?.embedding = [] },
        Mistake("selfTest.embedding") { $0.selfTest?.embedding = Array(repeating: 0, count: 33) },
        Mistake("selfTest.embedding") { $0.selfTest?.embedding[1] = .infinity },
        Mistake("selfTest.logits") { $0.selfTest?.logits = nil },
        Mistake("selfTest.logits") { $0.selfTest?.logits = [1, 2, 3] },
        Mistake("selfTest.logits") {
            $0.head = nil; $0.labels = nil
        },
    ]

    @Test("is refused with the field's name", arguments: mistakes) func mistakeIsNamed(_ mistake: Mistake) {
        var configuration = Self.valid()
        mistake.make(&configuration)
        let error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
        #expect(error?.field == mistake.field)
    }

    @Test("that is right passes, without a head, cutoff or labels too") func validConfigurationPasses() throws {
        var configuration = Self.valid()
        try configuration.validate()
        configuration.selfTest?.logits = nil
        configuration.head = nil
        configuration.labels = nil
        configuration.grid.cutoff = nil
        try configuration.validate()
        configuration.selfTest = nil
        try configuration.validate()
    }

    @Test(
        "The self-test's input is SplitMix64's, spread over a normalised image's range, and its samples over a result")
    func selfTestInput() {
        // SplitMix64 from the state 1 gives 910a2dec89025cc1, beeb8da1658eec67, f893a2eefb32555e.
        let expected = [0x910A2D, 0xBEEB8D, 0xF893A2].map { Float($0) / 4_194_304 - 2 }
        #expect(SelfTestRecord.input(seed: 1, count: 3) == expected)
        let values = SelfTestRecord.input(seed: 7, count: 10_000)
        #expect(values.allSatisfy { (-2..<2).contains($0) } && Set(values).count > 9_900)
        #expect(SelfTestRecord.sample([1, 2, 3]) == [1, 2, 3] && SelfTestRecord.sample([]) == [])
        #expect(SelfTestRecord.sample((0..<768).map(Float.init)) == (0..<32).map { Float($0 * 24) })
        #expect(SelfTestRecord.sample((0..<10).map(Float.init), count: 3) == [0, 3, 6])
    }

    @Test("allows the shortest grids on either path", arguments: [(ProbabilityPath.gvp, 2), (.gvp, 9), (.otcfm, 7)])
    func shortestGrids(path: ProbabilityPath, cutoff: Int) throws {
        try TimeGridConfiguration(count: 9, cutoff: cutoff).validate(on: .path(path))
    }
}
