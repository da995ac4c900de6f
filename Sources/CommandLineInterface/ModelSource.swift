import Arguments
import CBundledModel
import CheckpointFormats
import Console
import FeatureService
import FlowModel
import Machine
import Tensor

/// Where a command's model comes from: a file, or the one built into the program.
enum ModelSource {
    static let option = Option(
        "model", optional: .file,
        help: "The model file, written by 'headwater import' or training. The default is the bundled model.",
        group: "Model")

    /// Opens the model file at `path`, or the bundled one.
    ///
    /// - Throws: `CheckpointError`.
    static func file(_ path: String?, access: SafetensorsFile.Access = .load) throws -> SafetensorsFile {
        if let path { return try SafetensorsFile(path: path, access: access) }
        return try SafetensorsFile(
            staticBytes: UnsafeRawBufferPointer(start: bundled_model_bytes(), count: bundled_model_length()))
    }

    /// Loads the model for computing batches of up to `batch` images.
    ///
    /// - Throws: `CheckpointError`, `ModelError`, `ModelLoadingError`, `InsufficientMemory`.
    static func load(
        _ path: String?, precision: Precision, kernels: Kernels, pool: WorkerPool, batch: Int = 1
    ) throws -> ServedModel {
        let loader = ModelLoader(precision: precision, kernels: kernels, pool: pool, capacity: batch)
        return if let path { try loader.load(path: path) } else { try loader.load(file(nil)) }
    }
}

/// Which kernels compute, chosen once for all commands.
enum KernelChoice {
    static let option = Option(
        "kernels", optional: .string("NAME"),
        help:
            "The kernels to compute with: scalar, openblas, avx2, avx512, avx512-bf16, neon or neon-bf16. The default "
            + "is the fastest that the processor supports.",
        group: "Computation")

    static let precision = Option(
        "precision", .choice("PRECISION"), default: Precision.f32,
        help: "The precision of products: f32, or bf16 where that is faster and the processor supports it. bf16 "
            + "changes embeddings by about 1e-3. Sums and activations are always f32.",
        group: "Computation")

    static let workers = Option(
        "workers", optional: .integer(in: 1...1024),
        help: "The number of worker threads. The default is the number of processors available to this process, "
            + "which respects its cgroup's quota.",
        group: "Computation")

    /// The kernels that were asked for, or the best ones; they compute in the precision that was asked for.
    ///
    /// - Throws: `UsageError` naming those that there are.
    static func kernels(_ arguments: ParsedArguments) throws -> Kernels {
        let kernels = try namedKernels(arguments)
        let wanted = try arguments[precision]
        guard kernels.computes(wanted) else {
            throw UsageError(
                "the kernels \(UsageError.quoted(kernels.name)) don't compute in \(wanted.rawValue)",
                at: arguments.place(of: precision),
                remedy: "give f32, or run on a processor with products of bf16 (AVX512_BF16, or BF16 on arm64)")
        }
        return kernels
    }

    /// The kernels that were asked for, or the best ones.
    ///
    /// - Throws: `UsageError` naming those that there are.
    static func namedKernels(_ arguments: ParsedArguments) throws -> Kernels {
        guard let name = try arguments[option] else { return .best }
        guard let kernels = Kernels(named: name) else {
            let names = (Kernels.all + [.openBLAS]).map(\.name).joined(separator: ", ")
            throw UsageError(
                "this processor has no kernels \(UsageError.quoted(name))", at: arguments.place(of: option),
                remedy: "give one of \(names)")
        }
        return kernels
    }

    /// The pool of workers that computes.
    ///
    /// - Parameter endsStart: the command needs no further threads to begin its work.
    static func pool(_ arguments: ParsedArguments, endsStart: Bool = true) throws -> WorkerPool {
        let pool = WorkerPool(count: try arguments[workers] ?? ProcessorBudget.available())
        if endsStart { SignalThread.shared.startIsOver() }
        return pool
    }
}
