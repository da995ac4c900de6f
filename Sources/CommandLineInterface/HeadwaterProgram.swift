import CheckpointFormats
import FeatureService
import FlowModel
import FoundationEssentials
import Training

#if canImport(Glibc)
    import Glibc
#endif

/// The `headwater` program.
public enum HeadwaterProgram {
    /// What `--version` and `GET /version` say.
    static let version = "0.1.0"

    private static let subcommands: [(command: Command, run: @Sendable (ParsedArguments) async throws -> Int32)] = [
        (ServeCommand.command, { try await ServeCommand.run($0) }),
        (HealthCommand.command, { try HealthCommand.run($0) }),
        (ImportCommand.command, { try ImportCommand.run($0) }),
        (InspectCommand.command, { try InspectCommand.run($0) }),
        (EmbedCommand.command, { try await EmbedCommand.run($0) }),
        (ClassifyCommand.command, { try await ClassifyCommand.run($0) }),
        (EvaluateCommand.command, { try await EvaluateCommand.run($0) }),
        (BenchCommand.command, { try BenchCommand.run($0) }),
    ]

    static let program = Program(
        name: "headwater",
        abstract: "image embeddings and classification by running generative flow models in reverse",
        version: version, environmentPrefix: "HEADWATER_", commands: subcommands.map(\.command))

    /// Carries out the process's command line.
    ///
    /// - Returns: the exit status: 0, or 1 if some inputs failed, or one of sysexits(3).
    public static func main() async -> Int32 {
        // A client that closes its end must not end the process.
        signal(SIGPIPE, SIG_IGN)
        do {
            let invocation = try program.invocation(
                Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment,
                width: HelpText.terminalWidth())
            switch invocation {
            case .show(let text):
                print(text, terminator: "")
                return 0
            case .run(let name, let arguments):
                for warning in arguments.warnings { complain("warning: \(warning)") }
                return try await subcommands.first { $0.command.name == name }!.run(arguments)
            }
        } catch {
            complain("headwater: \(error)")
            return exitStatus(of: error)
        }
    }

    /// Writes a line to standard error.
    static func complain(_ line: String) {
        FileHandleOutput.standardError.write(Array((line + "\n").utf8))
    }

    /// The exit status for an error: 64 usage, 65 data, 66 missing input, 69 unavailable, 70 internal, 74 input/output.
    static func exitStatus(of error: any Error) -> Int32 {
        switch error {
        case is UsageError: UsageError.exitStatus
        case is ModelError, is ConfigurationError, is ModelLoadingError: 65
        case let error as CheckpointError: error.kind == .inputOutput ? 66 : 65
        case let failure as CheckpointFailure: failure.isUnreadable ? 66 : 65
        case is DataSetError, is CheckpointRefusal: 66
        case let error as CommandFailure: error.status
        default: 70
        }
    }
}

/// A failure with an exit status of its own.
struct CommandFailure: Error, CustomStringConvertible {
    let status: Int32
    let description: String
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
