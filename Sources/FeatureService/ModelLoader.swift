import CheckpointFormats
import FlowModel
import Machine
import ReverseODE
import Tensor

/// Turns checkpoints into models ready to be served. Slow: for Dispatch threads, not for the cooperative pool.
package struct ModelLoader: Sendable {
    private let precision: Precision
    private let kernels: Kernels
    private let pool: WorkerPool
    private let capacity: Int
    private let budget: @Sendable () -> MemoryBudget?
    private let change: @Sendable (ModelConfiguration) -> ModelConfiguration

    /// Loads models that compute in `precision`, the workers of `pool` sharing the packing of weights.
    ///
    /// - Parameters:
    ///   - kernels: what embeds the times of the models' grids.
    ///   - capacity: most images that will be evaluated together.
    ///   - budget: tells how much memory may still be taken; a model that needs more isn't loaded.
    ///   - change: what to load the weights as, given the checkpoint's configuration.
    package init(
        precision: Precision = .f32, kernels: Kernels = .best, pool: WorkerPool, capacity: Int = 1,
        budget: @escaping @Sendable () -> MemoryBudget? = { MemoryBudget.now() },
        as change: @escaping @Sendable (ModelConfiguration) -> ModelConfiguration = { $0 }
    ) {
        self.precision = precision
        self.kernels = kernels
        self.pool = pool
        self.capacity = capacity
        self.budget = budget
        self.change = change
    }

    /// Loads the checkpoint at `path`, reading it whole, so that a later change of the file doesn't change the model.
    ///
    /// - Parameter sha256: the digest that the file must have, if the caller knows it.
    /// - Throws: `CheckpointError`, `ModelError`, `ModelLoadingError`, `ConfigurationError` if the changed configuration isn't
    ///   valid, or `InsufficientMemory` before anything is read but the header.
    package func load(path: String, sha256: String? = nil) throws -> ServedModel {
        let header = try ModelFile(path: path, access: .onDemand)
        try requireMemory(for: try changed(header.configuration), fileBytes: header.byteCount)
        return try pack(ModelFile(path: path, access: .load), sha256: sha256)
    }

    /// Loads a checkpoint that has been opened, such as the one built into the program.
    ///
    /// - Throws: as `load(path:sha256:)`.
    package func load(_ file: SafetensorsFile) throws -> ServedModel {
        let modelFile = try ModelFile(file)
        try requireMemory(for: try changed(modelFile.configuration), fileBytes: 0)
        return try pack(modelFile, sha256: nil)
    }

    private func changed(_ configuration: ModelConfiguration) throws(ConfigurationError) -> ModelConfiguration {
        let changed = change(configuration)
        if changed != configuration { try changed.validate() }
        return changed
    }

    /// Foreseen rather than tried: memory beyond a cgroup's limit isn't refused, it ends the process.
    private func requireMemory(for configuration: ModelConfiguration, fileBytes: Int) throws {
        let memory = try ModelMemory(configuration, precision: precision, capacity: capacity, workers: pool.count)
        let needed = memory.peakBytes(fileBytes: fileBytes)
        guard let budget = budget(), needed > budget.availableBytes else { return }
        throw InsufficientMemory(name: configuration.name, neededBytes: needed, budget: budget)
    }

    private func pack(_ modelFile: ModelFile, sha256: String?) throws -> ServedModel {
        let digest = try modelFile.sha256.description
        if let sha256, sha256.lowercased() != digest {
            throw ModelLoadingError(
                description: "the checkpoint's SHA-256 is \(digest), not \(sha256); it is another file than expected")
        }
        try modelFile.requireFiniteWeights()
        let model = try ReversibleModel(
            configuration: try changed(modelFile.configuration), precision: precision, kernels: kernels, pool: pool
        ) { try modelFile.tensor($0) }
        return try ServedModel(
            model: model, version: ModelVersion(name: modelFile.configuration.name, sha256: digest),
            byteCount: modelFile.byteCount,
            storedType: modelFile.elementTypes.map(\.rawValue).joined(separator: "+"))
    }
}

/// A model was not loaded, since it needs more memory than the process may take.
package struct InsufficientMemory: Error, Equatable, Sendable, CustomStringConvertible {
    package let name: String
    /// Bytes that loading and warming it up takes at most.
    package let neededBytes: Int
    package let budget: MemoryBudget

    package var description: String {
        func text(_ bytes: Int) -> String { MemoryBudget.text(ofBytes: bytes) }
        return "loading the model \(name.debugDescription) takes up to \(text(neededBytes)) of memory, and only "
            + "\(text(budget.availableBytes)) are left of \(budget.bound); raise this limit, or load a smaller model"
    }
}

/// Why a checkpoint that is well-formed was not loaded.
package struct ModelLoadingError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
}
