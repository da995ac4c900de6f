import FoundationEssentials
import UntrustedText

#if canImport(Glibc)
    import Glibc
#endif

/// The `headwater` program.
public enum HeadwaterProgram {
    /// What `--version` and `GET /version` say.
    static let version = "0.1.0"

    private static let subcommands: [(command: Command, run: @Sendable (ParsedArguments) async throws -> ExitStatus)] =
        [
            (ServeCommand.command, { try await ServeCommand.run($0) }),
            (HealthCommand.command, { try HealthCommand.run($0) }),
            (ImportCommand.command, { try ImportCommand.run($0) }),
            (ConvertCommand.command, { try ConvertCommand.run($0) }),
            (InspectCommand.command, { try InspectCommand.run($0) }),
            (EmbedCommand.command, { try await EmbedCommand.run($0) }),
            (ClassifyCommand.command, { try await ClassifyCommand.run($0) }),
            (PretrainCommand.command, { try await PretrainCommand.run($0) }),
            (FineTuneCommand.command, { try await FineTuneCommand.run($0) }),
            (EvaluateCommand.command, { try await EvaluateCommand.run($0) }),
            (BenchCommand.command, { try await BenchCommand.run($0) }),
            (CompletionCommand.command, { try CompletionCommand.run($0) }),
            (ManualCommand.command, { try ManualCommand.run($0) }),
        ]

    static let program = Program(
        name: "headwater",
        abstract: "image embeddings and classification by running generative flow models in reverse",
        version: version, environmentPrefix: "HEADWATER_", commands: subcommands.map(\.command))

    /// Carries out the process's command line.
    ///
    /// - Returns: the exit status, one of those that the help lists.
    public static func main() async -> Int32 { await run().rawValue }

    private static func run() async -> ExitStatus {
        // A client that closes its end must not end the process.
        signal(SIGPIPE, SIG_IGN)
        // Nor must a limit to the size of files: that is a write's error.
        signal(SIGXFSZ, SIG_IGN)
        do {
            let invocation = try program.invocation(
                Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment,
                width: HelpText.terminalWidth())
            switch invocation {
            case .show(let text):
                print(text, terminator: "")
                return .success
            case .run(let name, let arguments):
                for warning in arguments.warnings { complain("warning: \(warning)") }
                return try await subcommands.first { $0.command.name == name }!.run(arguments)
            }
        } catch {
            complain("headwater: \(error)")
            return ExitStatus(of: error)
        }
    }

    /// Writes a line to standard error.
    static func complain(_ line: String) {
        // Names of files and of what is in archives may hold anything.
        let lines = line.split(separator: "\n", omittingEmptySubsequences: false).map { printable($0) }
        FileHandleOutput.standardError.write(Array((lines.joined(separator: "\n") + "\n").utf8))
    }
}

/// Whole writes to a descriptor.
struct FileHandleOutput: Sendable {
    static let standardOutput = FileHandleOutput(descriptor: 1)
    static let standardError = FileHandleOutput(descriptor: 2)

    let descriptor: Int32

    /// Writes everything; what the receiver no longer wants is dropped.
    func write(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }
}
