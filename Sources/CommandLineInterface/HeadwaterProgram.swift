import Arguments
import Console
import Dispatch
import Glibc
import Telemetry

package enum HeadwaterProgram {
    /// What `--version` and `GET /version` say, with the commit.
    static let version = "0.2.0"

    /// What the program was built from.
    @TaskLocal static var build = BuildInformation(version: version, commit: "unknown")

    private static let subcommands: [any Subcommand.Type] = [
        ServeCommand.self, HealthCommand.self, ImportCommand.self, ConvertCommand.self, InspectCommand.self,
        EmbedCommand.self, ClassifyCommand.self, PretrainCommand.self, FineTuneCommand.self, EvaluateCommand.self,
        GridsCommand.self, SampleCommand.self, NetworkBenchCommand.self, PrecisionBenchCommand.self,
        OperationBenchCommand.self,
        ProfileBenchCommand.self,
        TrainingBenchCommand.self, DecodingBenchCommand.self, ServedBenchCommand.self, WriteModelCommand.self,
        CompletionCommand.self, ManualCommand.self,
    ]

    static let program = Program(
        name: "headwater",
        abstract: "image embeddings and classes, computed by running generative flow models in reverse",
        version: version, environmentPrefix: "HEADWATER_", commands: subcommands.map { $0.command },
        groups: [BenchCommand.group],
        exitStatuses: ExitStatus.allCases.map { (code: $0.rawValue, meaning: $0.meaning) })

    /// Carries out the process's command line and ends the process with one of the statuses that the help lists.
    ///
    /// It is not `async`: the command line is read and signals are heard before Dispatch is asked for a thread, for which
    /// it may wait in vain.
    ///
    /// - Parameter commit: what the program was built from; see `BuildInformation.commit`.
    package static func main(commit: String) -> Never {
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
                Task { await $build.withValue(build) { await run(name, arguments) } }
                dispatchMain()
            }
        } catch {
            ProcessExit.end(ExitStatus(of: error), reporting: error)
        }
    }

    private static func run(_ name: String, _ arguments: ParsedArguments) async {
        do {
            let subcommand = subcommands.first { $0.command.name == name }!
            ProcessExit.end(
                try await subcommand.isInterruptible
                    ? Interruption.cancelling { try await subcommand.run(arguments) } : subcommand.run(arguments))
        } catch {
            ProcessExit.end(ExitStatus(of: error), reporting: error)
        }
    }
}

/// A command of the program: its description, and the work that it stands for.
protocol Subcommand: SendableMetatype {
    static var command: Command { get }
    /// Whether SIGINT and SIGTERM cancel the task of the work, instead of ending the process at once.
    static var isInterruptible: Bool { get }
    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus
}

extension Subcommand {
    static var isInterruptible: Bool { false }
}
