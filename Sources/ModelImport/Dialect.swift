import FlowModel
import Networks

/// One package's way to name and arrange the tensors of a network. docs/families.md describes all of them.
protocol Dialect: Sendable {
    /// What messages call it.
    var name: String { get }
    /// The options that say something about such a model.
    var options: Set<ImportOption> { get }
    /// Whether the source is of this dialect.
    func recognises(_ source: ImportSource) -> Bool
    /// Understands a source of this dialect.
    ///
    /// - Throws: `ImportError` or `ModelError` naming what is missing or doesn't fit.
    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan
}

extension Dialect {
    /// Why an option can't be given.
    func reason(forRefusing option: String) -> String {
        "the options of such a model are " + options.map { "--\($0.rawValue)" }.sorted().joined(separator: ", ")
    }
}

/// Every dialect that is read.
enum Dialects {
    static let all: [any Dialect] = [
        ReferenceDialect(), ImprovedDiffusion(), GuidedDiffusion(), ConsistencyModels(), TorchCFM(), Diffusers(),
        EDM(), RectifiedFlow(), RectifiedFlowPackage(),
    ]
}

/// What a dialect makes of a source: the model's configuration, and the table from which each of its tensors follows.
struct ImportPlan {
    /// The model, valid or not.
    var configuration: ModelConfiguration
    /// The source's tensors.
    var source: SourceTensors
    /// Each of the model's tensors by its key in the model file.
    var table: (ParameterShape) throws -> TensorExpression
    /// Whether a tensor of the source isn't part of the network.
    var isDropped: (String) -> Bool = { _ in false }
    /// The document that states the architecture, which the tensors may contradict; nil if they themselves tell it.
    var configurationPath: String?
    /// What was assumed and not stated, as sentences without full stops.
    var assumptions: [String] = []
}
