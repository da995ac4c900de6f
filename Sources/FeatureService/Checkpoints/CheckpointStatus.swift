private import Files
import FoundationEssentials

package enum CheckpointSource: Sendable, Equatable, CustomStringConvertible {
    /// The one compiled into the program.
    case builtIn
    /// The path that the program's configuration names.
    case configured(path: String)
    /// A file of the model directory, its path relative to it.
    case directory(path: String)
    /// A file sent to the admin listener.
    case upload

    package var description: String {
        switch self {
        case .builtIn: "built in"
        case .configured(let path), .directory(let path): path
        case .upload: "upload"
        }
    }
}

/// How far a load has come, in the order of the steps.
package enum CheckpointPhase: String, Sendable, CaseIterable {
    /// Reading, checking and packing the file.
    case loading
    /// Running a full batch through one evaluation, so that no request pays for page faults.
    case warmingUp = "warming up"
    /// Running a fixed input through a whole pass. The numbers must be finite and match the file's self-test record, if it has one.
    case selfTesting = "self-testing"
    /// Recording the checkpoint as the one to start with and switching to it.
    case activating
}

/// How an attempt to change the model ended.
package enum CheckpointOutcome: String, Sendable, CaseIterable {
    /// The new model serves.
    case activated
    /// The file is the one that serves already.
    case unchanged
    /// The old model serves on.
    case failed
}

/// A model that serves or has served.
package struct CheckpointRecord: Sendable, Equatable {
    package let version: ModelVersion
    package let source: CheckpointSource
    package let byteCount: Int
    /// When it last began to serve.
    package let since: Date
    /// Images that it has served since the program's start.
    package let images: Int
}

/// What is known of the checkpoints at a moment.
package struct CheckpointStatus: Sendable, Equatable {
    package struct Loading: Sendable, Equatable {
        package let source: CheckpointSource
        package internal(set) var phase: CheckpointPhase
        package let since: Date
    }

    /// The model that serves; nil until the first has been loaded.
    package let active: CheckpointRecord?
    /// The one before it, which a rollback brings back.
    package let previous: CheckpointRecord?
    package let loading: Loading?
    /// Why the latest load failed; nil if it succeeded.
    package let lastError: CheckpointFailure?
}

/// Why a load failed. The model that served before serves on.
package struct CheckpointFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where the checkpoint came from.
    package let source: CheckpointSource
    package let phase: CheckpointPhase
    package let reason: String
    /// What it is the fault of.
    package let cause: Cause
    package let time: Date

    package enum Cause: Sendable {
        /// Something is wrong with the checkpoint.
        case checkpoint
        /// Its file couldn't be read at all.
        case unreadable
        /// It needs more memory than there is.
        case memory
        /// The disk doesn't take what has to be written: the upload, or which checkpoint to start with.
        case storage

        init(of error: any Error) {
            self =
                switch error {
                case is InsufficientMemory: .memory
                case let error as FileError: error.kind == .unwritable ? .storage : .unreadable
                default: .checkpoint
                }
        }
    }

    package var description: String { "checkpoint \(source), \(phase.rawValue): \(reason)" }
}

/// Why a load was not begun.
package enum CheckpointRefusal: Error, Sendable, Equatable {
    /// Another one is under way.
    case busy
    /// There is no model directory.
    case noDirectory
    /// The path leads out of the model directory.
    case outside(path: String)
    /// The model directory has no such file, or it is no regular file.
    case notFound(path: String)
    /// The digest is not 64 hexadecimal digits.
    case malformedDigest
    /// No model served before the present one.
    case noPrevious
    /// The upload can't be taken over.
    case upload(reason: String)
}

extension CheckpointRefusal: CustomStringConvertible {
    /// The refusal in a sentence, for a start; the admin listener has its own words.
    package var description: String {
        switch self {
        case .busy: "another checkpoint is being loaded"
        case .noDirectory: "there is no model directory; start the service with --model-directory"
        case .outside(let path), .notFound(let path):
            "the checkpoint activated last, \(path), is no longer a file of the model directory: put it back, or start with "
                + "--no-resume-checkpoint to serve the configured model"
        case .malformedDigest: "the digest is not 64 hexadecimal digits"
        case .noPrevious: "no other model has served since the service started"
        case .upload(let reason): "the upload can't be stored: \(reason)"
        }
    }
}
