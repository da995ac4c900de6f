import Arguments
import CheckpointFormats
import Console
import FeatureService
import Files
import FlowModel
import HTTPServer
import Training

extension ExitStatus {
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
