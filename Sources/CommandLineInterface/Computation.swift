import Arguments
import Console
import Machine
import Tensor

extension Computation {
    static let kernelsOption = Option(
        "kernels", optional: .string("NAME"),
        help: "The kernels to compute with: scalar, openblas, avx2, avx512, avx512-bf16, neon or neon-bf16. The "
            + "default is the fastest that the processor supports.")

    static let precisionOption = Option(
        "precision", .choice("PRECISION"), default: Precision.f32,
        help:
            "The precision of products: f32, or bf16 for most layers, on processors with AVX512_BF16 or, on arm64, BF16. "
            + "bf16 changes embeddings by about 1e-3, and on some processors it is slower. Sums and activations are "
            + "always f32.")

    static let workersOption = Option(
        "workers", optional: .integer(in: 1...1024),
        help: "The number of worker threads. The default is the number of processors available to this process, which "
            + "respects its cgroup's quota.")

    /// The options of a command that computes in f32.
    static let exactOptions = OptionGroup("Computation", [kernelsOption, workersOption])
    static let options = OptionGroup("Computation", [kernelsOption, precisionOption, workersOption])

    /// What the options ask for.
    ///
    /// - Parameters:
    ///   - precision: of a command without that option; nil for the option's.
    ///   - endsStart: whether the command has all the threads that it needs to begin its work.
    /// - Throws: `UsageError` if the processor lacks the kernels, or they don't compute in the precision.
    init(_ arguments: ParsedArguments, in precision: Precision? = nil, endsStart: Bool = true) throws {
        let kernels = try Self.kernels(arguments)
        let precision = try precision ?? arguments[Self.precisionOption]
        try arguments.require(
            kernels.computes(precision), of: Self.precisionOption,
            "the kernels \(UsageError.quoted(kernels.name)) don't compute in \(precision.rawValue)",
            remedy: "give f32, or run on a processor with products of bf16 (AVX512_BF16, or BF16 on arm64)")
        self.init(
            kernels: kernels, precision: precision,
            pool: WorkerPool(count: try arguments[Self.workersOption] ?? ProcessorBudget.available()))
        if endsStart { SignalThread.shared.startIsOver() }
    }

    private static func kernels(_ arguments: ParsedArguments) throws -> Kernels {
        guard let name = try arguments[kernelsOption] else { return .best }
        guard let kernels = Kernels(named: name) else {
            let names = (Kernels.all + [.openBLAS]).map(\.name).joined(separator: ", ")
            throw UsageError(
                "this processor has no kernels \(UsageError.quoted(name))", at: arguments.place(of: kernelsOption),
                remedy: "give one of \(names)")
        }
        return kernels
    }
}
