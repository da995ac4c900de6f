import Arguments
import Benchmarks
import Console
import JSON
import Tensor

/// `headwater bench profile`: where an evaluation's time goes.
enum ProfileBenchCommand: Subcommand {
    static let command = Command(
        name: "bench profile", abstract: "time an evaluation by kind and size of layer",
        discussion: "Compares the layers' times with the micro-kernel's peak.",
        options: BenchCommand.networkOptions,
        examples: ["Which layers of U32 take how long:": "headwater bench profile --model u32 --batch 8"])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments)
        try BenchCommand.forEachBatch(arguments, computation) { name, model, _, batch in
            let profile = try EvaluationProfile(
                name: name, model: model, batch: batch, seconds: try arguments[BenchCommand.seconds], on: computation)
            print(try arguments[BenchCommand.json] ? try JSONCoder.text(profile) : profile.table)
        }
        return .success
    }
}
