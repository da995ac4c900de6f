import Arguments
import Console
import Dispatch
import Telemetry

#if canImport(Glibc)
    import Glibc
#endif

/// The `headwater` program.
public enum HeadwaterProgram {
    /// What `--version` and `GET /version` say, with the commit.
    static let version = "0.2.0"

    private typealias Subcommand = (
        command: Command, run: @Sendable (ParsedArguments, BuildInformation) async throws -> ExitStatus
    )

    private static let subcommands: [Subcommand] =
        [
            (ServeCommand.command, { try await ServeCommand.run($0, build: $1) }),
            (HealthCommand.command, { arguments, _ in try HealthCommand.run(arguments) }),
            (ImportCommand.command, { arguments, _ in try ImportCommand.run(arguments) }),
            (ConvertCommand.command, { arguments, _ in try ConvertCommand.run(arguments) }),
            (InspectCommand.command, { arguments, _ in try InspectCommand.run(arguments) }),
            (EmbedCommand.command, { arguments, _ in try await EmbedCommand.run(arguments) }),
            (ClassifyCommand.command, { arguments, _ in try await ClassifyCommand.run(arguments) }),
            (PretrainCommand.command, { arguments, _ in try await PretrainCommand.run(arguments) }),
            (FineTuneCommand.command, { arguments, _ in try await FineTuneCommand.run(arguments) }),
            (EvaluateCommand.command, { arguments, _ in try await EvaluateCommand.run(arguments) }),
            (NetworkBenchCommand.command, { arguments, _ in try NetworkBenchCommand.run(arguments) }),
            (PrecisionBenchCommand.command, { arguments, _ in try PrecisionBenchCommand.run(arguments) }),
            (OperationBenchCommand.command, { arguments, _ in try OperationBenchCommand.run(arguments) }),
            (ProfileBenchCommand.command, { arguments, _ in try ProfileBenchCommand.run(arguments) }),
            (TrainingBenchCommand.command, { arguments, _ in try TrainingBenchCommand.run(arguments) }),
            (DecodingBenchCommand.command, { arguments, _ in try DecodingBenchCommand.run(arguments) }),
            (ServedBenchCommand.command, { arguments, _ in try await ServedBenchCommand.run(arguments) }),
            (WriteModelCommand.command, { arguments, _ in try WriteModelCommand.run(arguments) }),
            (CompletionCommand.command, { arguments, _ in try CompletionCommand.run(arguments) }),
            (ManualCommand.command, { arguments, _ in try ManualCommand.run(arguments) }),
        ]

    static let program = Program(
        name: "headwater",
        abstract: "image embeddings and classes, computed by running generative flow models in reverse",
        version: version, environmentPrefix: "HEADWATER_", commands: subcommands.map(\.command),
        groups: [BenchCommand.group],
        exitStatuses: ExitStatus.allCases.map { Program.ExitStatus(code: $0.rawValue, meaning: $0.meaning) })

    /// Carries out the process's command line and ends the process with one of the statuses that the help lists.
    ///
    /// It is not `async`: the command line is read and signals are heard before Dispatch is asked for a thread, for which
    /// it may wait in vain.
    ///
    /// - Parameter commit: what the program was built from; see `BuildInformation.commit`.
    public static func main(commit: String) -> Never {
        let build = BuildInformation(version: version, commit: commit)
        // A client that closes its end must not end the process.
        signal(SIGPIPE, SIG_IGN)
        // Nor must a limit to the size of files: that is a write's error.
        signal(SIGXFSZ, SIG_IGN)
        do {
            let invocation = try program.invocation(
                Array(ProcessText.arguments.dropFirst()), environment: ProcessText.environment,
                commit: build.commit, width: Terminal.width())
            switch invocation {
            case .show(let text):
                print(text, terminator: "")
                ProcessExit.end(.success)
            case .run(let name, let arguments):
                for warning in arguments.warnings { Terminal.report("warning: \(warning)") }
                try SignalThread.shared.start(watchesStart: true)
                Task { await run(name, arguments, build) }
                dispatchMain()
            }
        } catch {
            ProcessExit.end(ExitStatus(of: error), reporting: error)
        }
    }

    private static func run(_ name: String, _ arguments: ParsedArguments, _ build: BuildInformation) async {
        do {
            ProcessExit.end(try await subcommands.first { $0.command.name == name }!.run(arguments, build))
        } catch {
            ProcessExit.end(ExitStatus(of: error), reporting: error)
        }
    }
}
