import Arguments
import Benchmarks
import Console
import JSON
import ReverseODE
import Tensor

/// `headwater bench precision`: the errors of bf16.
enum PrecisionBenchCommand: Subcommand {
    private static let evaluations = Option(
        "evaluations", .integer(in: 1...999), default: 31,
        help: "The number of evaluations in a pass of networks with random weights.")

    static let command = Command(
        name: "bench precision", abstract: "measure the difference between bf16 and f32",
        discussion: """
            Prints the relative difference between --precision bf16 and f32: for the velocity of one evaluation, and for \
            the state after a whole pass, with the cosine between the pooled embeddings there.
            """,
        options: [[BenchCommand.models, evaluations, BenchCommand.json], Computation.exactOptions],
        examples: ["How far bf16 changes embeddings:": "headwater bench precision --model bundled"])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let exact = try Computation(arguments, in: .f32)
        let isJSON = try arguments[BenchCommand.json]
        if !isJSON { print("bf16 against f32; kernels \(exact.kernels.name)") }
        for name in try arguments[BenchCommand.models] {
            func model(_ precision: Precision) throws -> ReversibleModel {
                try BenchCommand.load(name, evaluations: try arguments[evaluations], exact.computing(in: precision)).0
            }
            let error = try PrecisionError(name: name, exact: try model(.f32), reduced: try model(.bf16), on: exact)
            print(isJSON ? try JSONCoder.text(error) : error.text)
        }
        return .success
    }
}
