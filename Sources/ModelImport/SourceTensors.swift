import CheckpointFormats
import FlowModel
import UntrustedText

/// The tensors of a source by their names. Their numbers are read when they are needed.
struct SourceTensors {
    /// A tensor as the source describes it.
    struct Tensor {
        /// The source's own name, for messages.
        let name: String
        let shape: [Int]
        let type: ElementType
        let numbers: () throws -> [Float]
    }

    /// The names in the source's order, without the components that wrappers put in.
    private(set) var names: [String] = []
    /// How long the file is that the numbers are in.
    let fileByteCount: Int

    private var tensors: [String: Tensor] = [:]

    /// The tensors of a state dict.
    ///
    /// - Throws: `ModelError.duplicateTensor` if two have the same name without wrappers.
    init(_ entries: [PyTorchArchive.NamedTensor], of archive: PyTorchArchive) throws {
        try self.init(entries.map { ($0.name, $0.tensor) }, of: archive)
    }

    /// Tensors of a PyTorch file under names that are given.
    ///
    /// - Throws: `ModelError.duplicateTensor` if two have the same name without wrappers.
    init(_ entries: [(name: String, tensor: PyTorchTensor)], of archive: PyTorchArchive) throws {
        fileByteCount = archive.byteCount
        for (name, tensor) in entries {
            try add(
                Tensor(
                    name: name, shape: tensor.shape, type: tensor.type, numbers: { try archive.floats(of: tensor) }))
        }
    }

    /// The tensors of a safetensors file.
    ///
    /// - Throws: `ModelError.duplicateTensor` if two have the same name without wrappers.
    init(_ file: SafetensorsFile) throws {
        fileByteCount = file.byteCount
        for tensor in file.tensors {
            try add(
                Tensor(
                    name: tensor.name, shape: tensor.shape, type: tensor.type,
                    numbers: { try file.floats(of: tensor.name) }))
        }
    }

    private mutating func add(_ tensor: Tensor) throws {
        let key = Self.removingWrappers(tensor.name)
        guard tensors.updateValue(tensor, forKey: key) == nil else { throw ModelError.duplicateTensor(key: key) }
        names.append(key)
    }

    /// A key without the components that data-parallel and compiled modules put in.
    private static func removingWrappers(_ key: String) -> String {
        key.split(separator: ".", omittingEmptySubsequences: false)
            .filter { $0 != "module" && $0 != "_orig_mod" }
            .joined(separator: ".")
    }

    /// The tensor of that name; nil if there is none.
    subscript(name: String) -> Tensor? { tensors[name] }

    /// Whether there is a tensor of that name.
    func contains(_ name: String) -> Bool { tensors[name] != nil }

    /// Whether there is a tensor whose name begins with that.
    func containsPrefix(_ prefix: String) -> Bool { names.contains { $0.hasPrefix(prefix) } }

    /// An extent of a tensor that determines a width.
    ///
    /// - Throws: `ImportError` if there is no such tensor or it has too few dimensions.
    func extent(_ dimension: Int, of name: String) throws -> Int {
        guard let tensor = tensors[name] else { throw ImportError.missing(name) }
        guard tensor.shape.indices.contains(dimension) else {
            throw ImportError.unusable(
                "tensor \(quoted(tensor.name)) has shape \(tensor.shape), with too few dimensions to have a width")
        }
        return tensor.shape[dimension]
    }

    /// The same tensors under other names; those without a new name are left out.
    func renamed(_ rename: (String) -> String?) -> SourceTensors {
        var result = self
        (result.names, result.tensors) = ([], [:])
        for name in names {
            guard let new = rename(name) else { continue }
            result.names.append(new)
            result.tensors[new] = tensors[name]
        }
        return result
    }

    /// Checks that the numbers of some tensors fit into the file: a hostile file could let every name share one large storage and
    /// unfold to terabytes.
    ///
    /// - Throws: `CheckpointError` of kind `malformed`.
    func requirePlausibleSize(of used: some Sequence<String>) throws {
        var byteCount = 0
        for case let tensor? in used.map({ tensors[$0] }) {
            byteCount += tensor.shape.reduce(tensor.type.byteCount, *)
        }
        guard byteCount <= fileByteCount else {
            throw CheckpointError(
                .malformed,
                "the weights take \(byteCount) bytes, the file only \(fileByteCount): tensors share storages")
        }
    }
}
