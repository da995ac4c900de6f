import Glibc

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
        return "\(place) \(Pace.rounded(rate)) \(unit)/s, \(Pace.clock(Double(total - done) / rate)) left"
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
}

/// How fast work goes and how long it takes, as text.
package enum Pace {
    /// A rate with as many digits as matter.
    package static func rounded(_ rate: Double) -> String {
        rate < 100 ? "\((rate * 10).rounded() / 10)" : "\(Int(min(rate, 1e15)))"
    }

    /// `0:07`, `12:34`, `1:02:03`.
    package static func clock(_ seconds: Double) -> String {
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

    /// Whether to show it now; if so, the interval begins again.
    mutating func isDue(at elapsed: Duration) -> Bool {
        guard elapsed >= next else { return false }
        next = elapsed + interval
        return true
    }
}

/// Shows a progress line on standard error: where that is a terminal, one that is always up to date, and elsewhere a new one
/// every minute.
@MainActor
package final class ProgressBar {
    private var line: ProgressLine
    private let isTerminal: Bool
    private var pace: ProgressPace
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    /// Begins work, such as `embedding`, on `total` of what `unit` names in the plural.
    package init(_ activity: String, of total: Int, unit: String = "images") {
        line = ProgressLine(activity: activity, unit: unit, total: total)
        isTerminal = isatty(STDERR_FILENO) == 1
        pace = isTerminal ? .terminal : .log
        start = clock.now
    }

    package var elapsed: Duration { start.duration(to: clock.now) }

    /// How many were done when it was made.
    package var first: Int { line.first }

    /// Says that so many were done before.
    package func start(at first: Int) { line.first = first }

    /// Shows, if it is time, that so many are done, and by `activity` what is being done now.
    package func update(_ done: Int, _ activity: @autoclosure () -> String? = nil) {
        let elapsed = elapsed
        guard pace.isDue(at: elapsed) else { return }
        if let activity = activity() { line.activity = activity }
        guard isTerminal else {
            return Terminal.report(line.plainText(done: done, elapsed: elapsed))
        }
        TerminalLine.standardError.show(
            line.text(done: done, elapsed: elapsed, width: Terminal.width(of: STDERR_FILENO)))
    }

    /// Writes a line to standard error in the bar's place; the next update shows the bar again.
    package func report(_ text: String) {
        erase()
        Terminal.report(text)
    }

    /// Takes the bar away. Call it before you write to the terminal by other means than ``Terminal``.
    package func erase() {
        guard TerminalLine.standardError.erase() else { return }
        pace = .terminal
    }
}
