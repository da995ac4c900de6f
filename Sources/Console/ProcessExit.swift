import CProcess
import Glibc
import Synchronization

/// The only way out of the process.
///
/// Never `exit()`: it runs the libraries' exit handlers, and OpenBLAS' waits there for threads that it may never have got.
/// The kernel gives back everything else that such handlers would.
package enum ProcessExit {
    private static let preparations = Mutex<[@Sendable () -> Void]>([])

    /// Has `action` called before the process ends, however that comes about but for a signal that can't be caught. It
    /// must not wait for other threads.
    package static func prepare(_ action: @escaping @Sendable () -> Void) {
        preparations.withLock { $0.append(action) }
    }

    /// Writes out what has been printed, and ends the process.
    package static func end(_ status: ExitStatus) -> Never {
        let failure = CProcessFlushOutput()
        // A reader that has seen enough (EPIPE) is no failure.
        guard failure == 0 || failure == EPIPE || status != .success else {
            Terminal.report("headwater: standard output can't be written: \(String(cString: strerror(failure)))")
            endNow(.unwritableOutput)
        }
        reportLeaks()
        endNow(status)
    }

    /// Writes an error to standard error and ends the process with this status.
    package static func end(_ status: ExitStatus, reporting error: any Error) -> Never {
        Terminal.reportError("headwater: \(error)")
        end(status)
    }

    /// Ends the process without waiting for anything, not even for what another thread is printing.
    package static func endNow(_ status: ExitStatus) -> Never { endNow(code: status.rawValue) }

    /// As `endNow(_:)`, with a code that is no ``ExitStatus``.
    package static func endNow(code: Int32) -> Never {
        for action in preparations.withLock({ $0 }) { action() }
        _exit(code)
    }

    /// Where the program was built with a leak sanitizer, lets it look, which it otherwise does in an exit handler.
    private static func reportLeaks() {
        guard let check = dlsym(nil, "__lsan_do_leak_check") else { return }
        unsafeBitCast(check, to: (@convention(c) () -> Void).self)()
    }
}
