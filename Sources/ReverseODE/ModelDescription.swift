public import FlowModel
import JSON
import Networks
public import Tensor

/// What `headwater inspect --json` prints and `GET /model` answers: all that is known of a model without running it.
public struct ModelDescription: Codable, Sendable, Equatable {
    /// A tap place and how many numbers it has.
    public struct Place: Codable, Sendable, Equatable {
        /// As requests spell it.
        public let place: String
        /// Numbers of the tap.
        public let dimension: Int
        /// Height and width of the activations in pixels, and so into how many rows and columns of cells a tap may divide them; nil
        /// where there are none.
        public let side: Int?

        /// For people: the numbers, and the pixels where there are any.
        var summary: String { "\(place) (\(dimension)" + (side.map { ", \($0)x\($0)" } ?? "") + ")" }
    }

    /// The reverse pass.
    public struct Pass: Codable, Sendable, Equatable {
        /// The path of PRG's that the model was trained on; nil for another flow.
        public let path: ProbabilityPath?
        /// The flow that the model was trained on, if it is none of PRG's.
        public let flow: ParametrisedFlow?
        /// The method of integration.
        public let solver: Solver
        /// `linspace` points before the cutoff.
        public let count: Int
        /// The cutoff, if there is one.
        public let cutoff: Int?
        /// The model's time at each point, in the order in which the pass visits them; what taps name.
        public let times: [Float]
        /// Whether the pass goes all the way to noise, from which images can then be made.
        public let reachesNoise: Bool
        /// The noise level σ at each of `times`, relative to the image; nil on a flow in t.
        public let noiseLevels: [Float]?
        /// Network evaluations of one image's pass to the end.
        public let evaluations: Int
        /// The model's time where the head reads; nil without a head.
        public let headTime: Float?
        /// Whole network evaluations of one image's pass to the head's point; nil without a head. A head at a place needs one
        /// more evaluation, which stops at that place.
        public let headEvaluations: Int?
    }

    /// The model's name.
    public let name: String
    /// The first 12 digits of `sha256`: the version that responses name.
    public let version: String
    /// SHA-256 of the checkpoint file.
    public let sha256: String
    /// Size of the checkpoint file in bytes.
    public let byteCount: Int
    /// How the weights are stored: `F32`, `F16`, `BF16`.
    public let storedType: String
    /// What products are computed in; nil for a file that is described without being run.
    public let precision: Precision?
    /// Version of the configuration's format.
    public let formatVersion: Int
    /// The velocity network.
    public let architecture: UNetArchitecture
    /// The classification head, if there is one.
    public let head: HeadConfiguration?
    /// Learned numbers, the head's included.
    public let parameters: Int
    /// Billions of floating-point operations of one network evaluation for one image, a multiply-add counting as two.
    public let gigaflopsPerEvaluation: Double
    /// The reverse pass.
    public let pass: Pass
    /// From image to input.
    public let preprocessing: PreprocessingConfiguration
    /// At what size a service decodes large JPEGs, `exact` or `scaled`; nil for a checkpoint that isn't served.
    public let decoding: String?
    /// Class names in the order of the logits.
    public let labels: [String]?
    /// The tap that `/embed` answers when a request names none.
    public let defaultTap: String
    /// Every place that a tap can read.
    public let places: [Place]

    /// Describes a checkpoint.
    ///
    /// - Parameter decoding: at what size large JPEGs are decoded, if it is served.
    /// - Throws: `ConfigurationError` if the configuration isn't valid.
    public init(
        configuration: ModelConfiguration, sha256: String, byteCount: Int, storedType: String,
        precision: Precision? = nil, decoding: String? = nil
    ) throws(ConfigurationError) {
        let network = try configuration.network()
        let grid = TimeGrid(configuration)
        name = configuration.name
        version = String(sha256.prefix(12))
        self.sha256 = sha256
        self.byteCount = byteCount
        self.storedType = storedType
        self.precision = precision
        formatVersion = configuration.formatVersion
        architecture = configuration.architecture
        head = configuration.head
        parameters =
            network.parameterCount + (configuration.head?.parameters(on: network).reduce(0) { $0 + $1.count } ?? 0)
        gigaflopsPerEvaluation = Double(network.floatingPointOperations()) / 1e9
        pass = Pass(
            path: configuration.flow.path, flow: configuration.flow.parametrised, solver: configuration.solver,
            count: configuration.grid.count,
            cutoff: configuration.grid.cutoff, times: grid.times, reachesNoise: grid.reachesNoise,
            noiseLevels: grid.noiseLevels,
            evaluations: grid.steps * configuration.solver.evaluationsPerStep,
            headTime: head.map { grid.times[grid.index(ofHead: $0)] },
            headEvaluations: head.map { grid.index(ofHead: $0) * configuration.solver.evaluationsPerStep })
        preprocessing = configuration.preprocessing
        self.decoding = decoding
        labels = configuration.labels
        defaultTap = configuration.defaultTap
        places = Self.places(network, configuration)
    }

    private static func places(_ network: NetworkProgram, _ configuration: ModelConfiguration) -> [Place] {
        let pooled = configuration.pooledSize
        var places = [
            Place(place: "state", dimension: network.stateCount, side: nil),
            Place(place: "pooled", dimension: 3 * pooled * pooled, side: nil),
        ]
        if let width = configuration.head?.hiddenWidth {
            places.append(Place(place: "head", dimension: width, side: nil))
        }
        return places
            + network.places.map {
                Place(place: "\($0)", dimension: network.channels(at: $0), side: network.side(at: $0))
            }
    }
}

extension ModelDescription {
    /// This description as `GET /model` answers it and `headwater inspect --json` prints it.
    ///
    /// - Throws: `JSONError`.
    public func json() throws -> String { try JSONCoder.text(self, indented: true) + "\n" }
}
