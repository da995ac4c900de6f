/// An attempt to change the model: what is done, to which checkpoint, and for whom.
public struct CheckpointAttempt: Sendable, Equatable {
    /// What an attempt does.
    public enum Action: String, Sendable, CaseIterable {
        /// Loads the first model.
        case start
        /// Loads a file of the model directory.
        case load
        /// Takes a file that was sent.
        case upload
        /// Loads the configured checkpoint again, at a signal.
        case reload
        /// Returns to the model before.
        case rollback
    }

    /// Who asked for it by a request.
    public struct Client: Sendable, Equatable {
        /// The address.
        public let address: String
        /// The request's id.
        public let requestID: String

        /// Names a client.
        public init(address: String, requestID: String) {
            self.address = address
            self.requestID = requestID
        }
    }

    /// What is done.
    public let action: Action
    /// Where the checkpoint comes from.
    public let source: CheckpointSource
    /// Nil at the start and at a signal.
    public let client: Client?
}

/// How an attempt to change the model ended.
public struct CheckpointReport: Sendable {
    /// What was attempted.
    public let attempt: CheckpointAttempt
    /// The outcome, or why the model before serves on.
    public let result: Result<CheckpointOutcome, CheckpointFailure>
    /// The checkpoint, if it could be read.
    public let version: ModelVersion?
    /// What served before; nil at the start.
    public let previous: ModelVersion?

    /// The outcome, as it is counted.
    public var outcome: CheckpointOutcome { (try? result.get()) ?? .failed }
}
