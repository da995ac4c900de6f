import Arguments
import CheckpointFormats
import Console
import FeatureService
import Files
import FlowModel
import HTTPServer
import ModelImport
import Training

extension ExitStatus {
    init(of error: any Error) {
        self =
            switch error {
            case is UsageError: .usage
            case is ModelError, is ConfigurationError, is ModelLoadingError, is CheckpointError: .unusableData
            case let error as ImportError:
                switch error.kind {
                case .options: .usage
                case .unusable: .unusableData
                }
            case is InsufficientMemory: .unavailable
            case let error as FileError:
                switch error.kind {
                case .unreadable: .unreadableInput
                case .unwritable: .unwritableOutput
                case .tooLarge: .unusableData
                }
            case let error as CheckpointFailure:
                switch error.cause {
                case .checkpoint: .unusableData
                case .unreadable: .unreadableInput
                case .memory: .unavailable
                case .storage: .unwritableOutput
                }
            case let error as CheckpointRefusal:
                switch error {
                case .notFound, .outside: .unreadableInput
                case .busy, .noDirectory, .malformedDigest, .noPrevious, .upload: .internalFault
                }
            case let error as DataSetError: error.kind == .unreadable ? .unreadableInput : .unusableData
            case let error as ServerError:
                switch error {
                case .invalidConfiguration: .usage
                case .cannotListen, .system: .unavailable
                case .tls: .unusableData
                }
            case let error as TrainingError:
                switch error {
                case .diverged: .negative
                case .otherRun, .alreadyBegun, .nothingLeft: .usage
                case .unusableState, .unusableLog: .unusableData
                case .nothingToResume: .unreadableInput
                }
            case let error as CommandFailure: error.status
            default: .internalFault
            }
    }
}
