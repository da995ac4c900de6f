/// Why training can't begin or go on.
package enum TrainingError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A loss, gradient, weight or moment is infinite or not a number.
    case diverged(step: Int, epoch: Int, what: String, lastGood: String)
    /// The state file belongs to another run.
    case otherRun(path: String, differences: [String])
    /// A schedule can't begin again in a run that has done all its epochs.
    case nothingLeft(path: String, epochs: Int)
    /// A state file that isn't one, or that doesn't fit.
    case unusableState(path: String, problem: String)
    /// There is a state or model file where a new run was to begin.
    /// `option` names another one.
    case alreadyBegun(path: String, option: String)
    /// The log of steps is of another form.
    case unusableLog(path: String, problem: String)
    /// There is no state file to go on from.
    case nothingToResume(path: String)

    package var description: String {
        switch self {
        case .diverged(let step, let epoch, let what, let lastGood):
            "training has diverged: \(what) of step \(step) in epoch \(epoch) is not finite; \(lastGood); a lower "
                + "--learning-rate, a longer --warm-up or --clip may help"
        case .otherRun(let path, let differences):
            "\(path) belongs to another run: \(differences.joined(separator: "; ")); leave the option out to keep "
                + "its old value, or give another --output" + Self.mayChange(differences)
        case .nothingLeft(let path, let epochs):
            "\(path): all \(epochs) epochs are done, so no schedule can start again; give more --epochs"
        case .unusableState(let path, let problem): "\(path): \(problem)"
        case .unusableLog(let path, let problem):
            "\(path) is not the log of this run's steps: \(problem); give another file"
        case .alreadyBegun(let path, let option):
            "\(path) already exists; continue that run with --resume, or give another \(option)"
        case .nothingToResume(let path): "\(path) doesn't exist, so there is nothing to resume; leave out --resume"
        }
    }

    /// What a resumed run may change, as far as it helps against those differences.
    private static func mayChange(_ differences: [String]) -> String {
        let isSchedule = differences.allSatisfy { difference in
            TrainingRecord.scheduleSettings.contains { difference.hasPrefix($0 + " was ") }
        }
        return isSchedule
            ? ", or start the learning-rate schedule again with --restart-schedule"
            : "; a run may continue with another --name, --default-tap, --dtype, --checkpoint-minutes, --samples, --step-log, "
                + "--damaged, --damaged-limit, --kernels, --workers, --batch-parts and --images-at-a-time, with its images in "
                + "another place, and with more --epochs if its learning rate is constant"
    }
}
