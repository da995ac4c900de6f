/// What the program's exit tells its caller; from 64 on as in sysexits(3).
package enum ExitStatus: Int32, CaseIterable, Sendable {
    case success = 0
    case negative = 1
    case usage = 64
    case unusableData = 65
    case unreadableInput = 66
    case unavailable = 69
    case internalFault = 70
    case unwritableOutput = 74

    package var meaning: String {
        switch self {
        case .success: "Success."
        case .negative:
            "Some inputs could not be used; the service is not ready; training has diverged; or no grid is accurate enough."
        case .usage: "Invalid command line or environment variable."
        case .unusableData: "A model, data set, certificate or other input is invalid."
        case .unreadableInput: "An input doesn't exist or can't be read."
        case .unavailable: "The service can't listen on the address, or the system lacks a resource that it needs."
        case .internalFault: "An internal error, or a service that stopped with requests left."
        case .unwritableOutput: "An output can't be written."
        }
    }
}

/// A failure with an exit status of its own.
package struct CommandFailure: Error, CustomStringConvertible {
    package let status: ExitStatus
    package let description: String

    /// States a failure: what is wrong, where, and what to do.
    package init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}
