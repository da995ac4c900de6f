import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// How far work on many images has come, as one line.
struct ProgressLine: Equatable {
    /// What is being done, such as `embedding`.
    var activity: String
    /// What is counted, in the plural.
    let unit: String
    let total: Int
    /// How many were done before, and tell nothing of the rate.
    var first = 0

    /// The line without a bar, for logs.
    func plainText(done: Int, elapsed: Duration) -> String { "\(activity) \(facts(done: done, elapsed: elapsed))" }

    private func facts(done: Int, elapsed: Duration) -> String {
        let seconds = elapsed / .seconds(1)
        let rate = seconds > 0 ? Double(done - first) / seconds : 0
        let place = "\(done)/\(total) \(done * 100 / max(total, 1)) %"
        guard rate > 0 else { return place }
        return "\(place) \(Self.rounded(rate)) \(unit)/s, \(Self.clock(Double(total - done) / rate)) left"
    }

    /// The line, narrower than `width` columns, so that terminals don't wrap it.
    func text(done: Int, elapsed: Duration, width: Int) -> String {
        let facts = facts(done: done, elapsed: elapsed)
        let room = min(width - activity.count - facts.count - 5, 30)
        guard room >= 8 else { return String("\(activity) \(facts)".prefix(max(width - 1, 0))) }
        let filled = room * done / max(total, 1)
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: room - filled)
        return "\(activity) [\(bar)] \(facts)"
    }

    static func rounded(_ rate: Double) -> String {
        rate < 100 ? "\((rate * 10).rounded() / 10)" : "\(Int(min(rate, 1e15)))"
    }

    /// `0:07`, `12:34`, `1:02:03`.
    static func clock(_ seconds: Double) -> String {
        let total = Int(min(max(seconds, 0), 1e9).rounded(.up))
        func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let (hours, minutes) = (total / 3600, total / 60 % 60)
        return hours > 0 ? "\(hours):\(padded(minutes)):\(padded(total % 60))" : "\(minutes):\(padded(total % 60))"
    }
}

/// When a progress line is shown again.
struct ProgressPace: Equatable {
    private let interval: Duration
    private var next: Duration

    /// Ten times a second.
    static let terminal = ProgressPace(interval: .milliseconds(100), next: .zero)
    /// Every minute, so that work of seconds leaves nothing in a log.
    static let log = ProgressPace(interval: .seconds(60), next: .seconds(60))

    /// Whether to show it now; if so, the interval begins anew.
    mutating func isDue(at elapsed: Duration) -> Bool {
        guard elapsed >= next else { return false }
        next = elapsed + interval
        return true
    }
}

/// Shows a progress line on standard error: where that is a terminal, one that is always up to date, and elsewhere a new one
/// every minute.
@MainActor
final class ProgressBar {
    private var line: ProgressLine
    private let isTerminal: Bool
    private var pace: ProgressPace
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    init(_ activity: String, of total: Int, unit: String = "images") {
        line = ProgressLine(activity: activity, unit: unit, total: total)
        isTerminal = isatty(STDERR_FILENO) == 1
        pace = isTerminal ? .terminal : .log
        start = clock.now
    }

    /// Time since it was made.
    var elapsed: Duration { start.duration(to: clock.now) }

    /// How many were done when it was made.
    var first: Int { line.first }

    /// Says that so many were done before.
    func start(at first: Int) { line.first = first }

    /// Shows, if it is time, that so many are done, and by `activity` what is being done now.
    func update(_ done: Int, _ activity: @autoclosure () -> String? = nil) {
        let elapsed = elapsed
        guard pace.isDue(at: elapsed) else { return }
        if let activity = activity() { line.activity = activity }
        guard isTerminal else {
            return HeadwaterProgram.complain(line.plainText(done: done, elapsed: elapsed))
        }
        TerminalLine.standardError.show(
            line.text(done: done, elapsed: elapsed, width: HelpText.terminalWidth(of: STDERR_FILENO)))
    }

    /// Writes a line to standard error in the bar's place; the next update shows the bar again.
    func complain(_ text: String) {
        erase()
        HeadwaterProgram.complain(text)
    }

    /// Takes the bar away. To be called before anything else is written to the terminal.
    func erase() {
        guard TerminalLine.standardError.erase() else { return }
        pace = .terminal
    }
}

/// The terminal's last line, which a bar stands on until something else is to be written there.
///
/// A second signal ends the process from another thread than the one that draws, hence the lock.
final class TerminalLine: Sendable {
    static let standardError = TerminalLine(FileHandleOutput.standardError)

    private enum State {
        case blank, shown, closed
    }

    private let state = Mutex(State.blank)
    private let output: FileHandleOutput

    private static let eraseLine = Array("\r\u{1B}[K".utf8)

    init(_ output: FileHandleOutput) { self.output = output }

    /// Replaces what is on the line.
    func show(_ text: String) {
        state.withLock { state in
            guard state != .closed else { return }
            state = .shown
            output.write(Self.eraseLine + text.utf8)
        }
    }

    /// Leaves the line blank.
    ///
    /// - Returns: whether something was on it.
    @discardableResult
    func erase() -> Bool {
        state.withLock { state in
            guard state == .shown else { return false }
            state = .blank
            output.write(Self.eraseLine)
            return true
        }
    }

    /// Leaves the line blank for good, as the process is about to end.
    func close() {
        state.withLock { state in
            if state == .shown { output.write(Self.eraseLine) }
            state = .closed
        }
    }
}
