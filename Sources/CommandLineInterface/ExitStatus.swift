import CheckpointFormats
import FeatureService
import Files
import FlowModel
import HTTPServer
import Training

/// What the program's exit tells its caller; from 64 on as in sysexits(3).
enum ExitStatus: Int32, CaseIterable, Sendable {
    case success = 0
    case negative = 1
    case usage = 64
    case unusableData = 65
    case unreadableInput = 66
    case unavailable = 69
    case internalFault = 70
    case unwritableOutput = 74

    /// What it stands for, in the help.
    var meaning: String {
        switch self {
        case .success: "Success."
        case .negative:
            "Some inputs could not be used; the service is not ready; or training has diverged."
        case .usage: "Invalid command line or environment variable."
        case .unusableData: "A model, data set, certificate or other input is invalid."
        case .unreadableInput: "An input doesn't exist or can't be read."
        case .unavailable: "The service can't listen on the address, or the system lacks a resource that it needs."
        case .internalFault: "An internal error, or a service that stopped with requests left."
        case .unwritableOutput: "An output can't be written."
        }
    }

    /// The status for an error.
    init(of error: any Error) {
        self =
            switch error {
            case is UsageError: .usage
            case is ModelError, is ConfigurationError, is ModelLoadingError: .unusableData
            case is CheckpointError: .unusableData
            case let error as FileError: Self(of: error.kind)
            case is InsufficientMemory: .unavailable
            case let error as CheckpointFailure: Self(of: error.cause)
            case let error as CheckpointRefusal: Self(of: error)
            case let error as DataSetError: error.kind == .unreadable ? .unreadableInput : .unusableData
            case let error as ServerError: Self(of: error)
            case let error as TrainingError: Self(of: error)
            case let error as CommandFailure: error.status
            default: .internalFault
            }
    }

    private init(of kind: FileError.Kind) {
        self =
            switch kind {
            case .unreadable: .unreadableInput
            case .unwritable: .unwritableOutput
            case .tooLarge: .unusableData
            }
    }

    private init(of cause: CheckpointFailure.Cause) {
        self =
            switch cause {
            case .checkpoint: .unusableData
            case .unreadable: .unreadableInput
            case .memory: .unavailable
            case .storage: .unwritableOutput
            }
    }

    private init(of refusal: CheckpointRefusal) {
        self =
            switch refusal {
            case .notFound, .outside: .unreadableInput
            case .busy, .noDirectory, .malformedDigest, .noPrevious, .upload: .internalFault
            }
    }

    private init(of error: TrainingError) {
        self =
            switch error {
            case .diverged: .negative
            case .otherRun, .alreadyBegun, .nothingLeft: .usage
            case .unusableState, .unusableLog: .unusableData
            case .nothingToResume: .unreadableInput
            }
    }

    private init(of error: ServerError) {
        self =
            switch error {
            case .invalidConfiguration: .usage
            case .cannotListen, .system: .unavailable
            case .tls: .unusableData
            }
    }
}

/// A failure with an exit status of its own.
struct CommandFailure: Error, CustomStringConvertible {
    let status: ExitStatus
    let description: String
}
