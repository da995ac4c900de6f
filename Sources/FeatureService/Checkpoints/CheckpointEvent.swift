/// An attempt to change the model: what is done, to which checkpoint, and for whom.
package struct CheckpointAttempt: Sendable, Equatable {
    package enum Action: String, Sendable, CaseIterable {
        /// Loads the first model.
        case start
        /// Loads a file of the model directory.
        case load
        /// Takes a file that was sent.
        case upload
        /// Loads the configured checkpoint, whose file has changed, at a signal.
        case reload
        /// Returns to the configured checkpoint.
        case reset
        /// Returns to the model before.
        case rollback
    }

    /// Who asked for it by a request.
    package struct Client: Sendable, Equatable {
        package let address: String
        package let requestID: String

        package init(address: String, requestID: String) {
            self.address = address
            self.requestID = requestID
        }
    }

    package let action: Action
    package let source: CheckpointSource
    /// Nil at the start and at a signal.
    package let client: Client?
}

/// How an attempt to change the model ended.
package struct CheckpointReport: Sendable {
    package let attempt: CheckpointAttempt
    /// The outcome, or why the model before serves on.
    package let result: Result<CheckpointOutcome, CheckpointFailure>
    /// The checkpoint, if it could be read.
    package let version: ModelVersion?
    /// What served before; nil at the start.
    package let previous: ModelVersion?

    /// The outcome, as it is counted.
    package var outcome: CheckpointOutcome { (try? result.get()) ?? .failed }
}
