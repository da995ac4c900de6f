import Arguments
import Benchmarks
import Console

/// `headwater bench write-model`: a network with random weights as a model file.
enum WriteModelCommand: Subcommand {
    private static let names = RandomNetwork.all.map(\.name)
    private static let network = Positional(
        "NETWORK",
        ValueSyntax(
            placeholder: "NETWORK", rule: "one of \(names.joined(separator: ", "))", completion: .choices(names),
            parse: { RandomNetwork(named: $0) }, format: \.name),
        help: "The network: \(names.joined(separator: ", ")).")
    private static let output = Option("output", short: "o", required: .file, help: "The model file to write.")

    static let command = Command(
        name: "bench write-model", abstract: "write a network with random weights to a model file",
        discussion: "Writes the same bytes every time.",
        options: [[output, BenchCommand.evaluations]],
        positionals: [network],
        examples: ["Compare U32 with another program:": "headwater bench write-model u32 -o u32.safetensors"])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        try arguments[network].write(evaluations: try arguments[BenchCommand.evaluations], to: try arguments[output])
        return .success
    }
}
