public import CheckpointFormats
public import FlowModel
public import Networks
import UntrustedText

/// A source, understood: which dialect it is of, the model's configuration, and how each of its tensors follows from the
/// source's. The source may be a file or folder of any dialect in docs/families.md.
public struct CheckpointImport {
    /// What the source doesn't say.
    public typealias Settings = ImportSettings

    /// The dialect's name.
    public let dialect: String
    /// What was assumed because neither the source nor the settings say it.
    public let assumptions: [String]
    /// The model's configuration, valid.
    public private(set) var configuration: ModelConfiguration
    /// Every tensor of the model by its key in the model file, in the reference's order.
    public let parameters: [ParameterShape]

    private let source: SourceTensors
    private let table: [String: TensorExpression]

    /// Recognises and understands the file or folder at `path`; no weights are read yet.
    ///
    /// - Throws: `FileError` and `CheckpointError` if it can't be read, `ImportError` if it isn't a model that can be imported or the
    ///   settings don't suffice, `ModelError` naming a tensor that doesn't fit, `ConfigurationError` if the settings don't.
    public init(path: String, settings: ImportSettings) throws {
        let source = try ImportSource(path: path)
        let dialect = try Dialects.recognise(source)
        try self.init(source, dialect, settings)
    }

    /// Understands a checkpoint of PRG's reference implementation; no weights are read yet.
    ///
    /// - Throws: `CheckpointError` if there is no state dict under `model`, `ModelError` naming the first key that is missing, left
    ///   over or of another shape than the others call for, `ConfigurationError` if the settings don't fit.
    public init(_ archive: PyTorchArchive, settings: ImportSettings) throws {
        try self.init(ImportSource(archive, path: ""), ReferenceDialect(), settings)
    }

    private init(_ source: ImportSource, _ dialect: any Dialect, _ settings: ImportSettings) throws {
        try settings.requireApplicable(to: dialect)
        let plan = try dialect.plan(for: source, settings)
        try settings.published?.requireSize(of: plan.source)
        try plan.configuration.validate()
        self.dialect = dialect.name
        assumptions = plan.assumptions
        configuration = plan.configuration
        parameters = try ModelFile.parameters(of: plan.configuration)
        do {
            table = try plan.checkedTable(for: parameters)
        } catch  where plan.configurationPath != nil && (error is ModelError || error is ImportError) {
            throw ImportError.unusable("configuration contradicts weights: \(plan.configurationPath!): \(error)")
        }
        self.source = plan.source
    }

    /// Lets the head read at another point of the grid, and a model without a named tap give another.
    ///
    /// - Throws: `ConfigurationError` if the grid has no such point.
    public mutating func read(at point: Int?, defaultTap: String) throws {
        configuration.head?.point = point
        configuration.defaultTap = defaultTap
        try configuration.validate()
    }

    /// A tensor's weights, row-major.
    ///
    /// - Parameter key: a key of `parameters`.
    /// - Throws: `CheckpointError` if the numbers are missing or damaged.
    public func weights(_ key: String) throws -> [Float] {
        guard let expression = table[key] else {
            throw CheckpointError(.missing, "the tensor \(quoted(key)) is missing")
        }
        return try expression.values(in: source)
    }

    /// A tensor's weights, row-major, as a model file that stores them as `type` gives them back.
    ///
    /// - Throws: as `write(to:storing:selfTest:)` does for weights that can't be stored.
    public func weights(_ key: String, storedAs type: ElementType) throws -> [Float] {
        let values = try weights(key)
        try ModelError.requireFinite(values, key: key)
        return try CheckpointError.locating(in: "tensor \(quoted(key))") { try type.rounded(values) }
    }

    /// Writes the model for serving; see `ModelFile.write(_:to:storing:weights:)`.
    ///
    /// - Parameter selfTest: what the model answers with its weights stored as `type`.
    public func write(to path: String, storing type: ElementType = .f32, selfTest: SelfTestRecord? = nil) throws {
        var configuration = configuration
        configuration.selfTest = selfTest
        try ModelFile.write(configuration, to: path, storing: type, weights: weights)
    }
}

extension ImportPlan {
    /// The expression of every tensor of the model, whose shapes agree, and which leave nothing of the source over.
    ///
    /// - Throws: `ImportError`, `ModelError` or `CheckpointError` naming the first tensor that doesn't fit.
    fileprivate func checkedTable(for parameters: [ParameterShape]) throws -> [String: TensorExpression] {
        var checked: [String: TensorExpression] = [:]
        var used: Set<String> = []
        for parameter in parameters {
            let expression = try table(parameter)
            for name in expression.sources {
                guard let tensor = source[name] else { throw missing(name, parameter) }
                guard [.f32, .f16, .bf16].contains(tensor.type) else {
                    throw ModelError.wrongElementType(key: tensor.name, found: tensor.type)
                }
                used.insert(name)
            }
            let shape = try expression.shape(in: source)
            guard shape == parameter.shape else {
                let names = expression.sources.compactMap { source[$0]?.name }.joined(separator: " + ")
                throw ModelError.wrongShape(key: names, expected: parameter.shape, found: shape)
            }
            checked[parameter.key] = expression
        }
        if let leftOver = source.names.filter({ !used.contains($0) && !isDropped($0) }).min(),
            let tensor = source[leftOver]
        {
            throw ModelError.unexpectedTensor(key: tensor.name)
        }
        try source.requirePlausibleSize(of: used)
        return checked
    }

    private func missing(_ name: String, _ parameter: ParameterShape) -> any Error {
        // Where the source's keys are the model's, the shape is known too.
        name == parameter.key
            ? ModelError.missingTensor(key: name, expected: parameter.shape) : ImportError.missing(name)
    }
}

extension CheckpointImport {
    /// The names of the dialects that are recognised.
    public static let dialects = Dialects.all.map(\.name)
}
