/// What a service starts with where a checkpoint was activated before: that one, or the configured one.
package struct StartingCheckpoint: Sendable, Equatable {
    /// What the operator says about it.
    package enum Preference: Sendable, Equatable {
        /// The later of two decisions counts: to activate the checkpoint, or to configure another model since.
        case latest
        /// The checkpoint activated last.
        case resume
        /// The configured one.
        case configured
    }

    package enum Reason: String, Sendable, CaseIterable {
        /// None was ever activated, or the last activation was a return to the configured one.
        case nothingActivated = "no checkpoint is recorded as activated"
        /// No model file is configured, so nothing speaks against the checkpoint.
        case nothingConfigured = "no model file is configured"
        /// The configured file is gone or damaged; what serves doesn't depend on it.
        case unreadable = "the configured model can't be read"
        /// The configured file is the one that it was at the activation.
        case unchanged = "the configured model has not changed since the checkpoint was activated"
        /// The configured file is another one than at the activation.
        case reconfigured = "another model was configured after the checkpoint was activated"
        /// The operator says so.
        case asked = "an option asks for it"
    }

    package let resumes: Bool
    package let reason: Reason
}

extension StartingCheckpoint {
    /// - Parameters:
    ///   - isActivated: whether there is a checkpoint that was activated.
    ///   - activatedOver: the digest of the configured model at that moment; nil if it isn't known.
    ///   - configured: the digest of the model file configured now; nil if it can't be read.
    ///   - isExplicit: whether a model file is configured, rather than the bundled model.
    init(isActivated: Bool, activatedOver: String?, configured: String?, isExplicit: Bool, preference: Preference) {
        switch preference {
        case _ where !isActivated: self.init(resumes: false, reason: .nothingActivated)
        case .resume: self.init(resumes: true, reason: .asked)
        case .configured: self.init(resumes: false, reason: .asked)
        case .latest where !isExplicit: self.init(resumes: true, reason: .nothingConfigured)
        case .latest where configured == nil: self.init(resumes: true, reason: .unreadable)
        // Older versions didn't record the configured model, and always resumed.
        case .latest where activatedOver == nil || activatedOver == configured:
            self.init(resumes: true, reason: .unchanged)
        case .latest: self.init(resumes: false, reason: .reconfigured)
        }
    }
}

/// What was chosen at the start, and what was passed over, for the log.
package struct StartReport: Sendable {
    package let choice: StartingCheckpoint
    /// The checkpoint activated last: its path in the model directory, and its digest if its file can be read.
    package let activated: (path: String, sha256: String?)?
    /// The configured model: the path, or what the program calls the built-in one, and its digest if it can be read.
    package let configured: (source: String, sha256: String?)
}
