#if canImport(Glibc)
    import Glibc
#endif

/// How far work on many images has come, as one line.
struct ProgressLine: Equatable {
    /// What is being done, such as `embedding`.
    let activity: String
    /// What is counted, in the plural.
    let unit: String
    let total: Int

    /// The line, narrower than `width` columns, so that terminals don't wrap it.
    func text(done: Int, elapsed: Duration, width: Int) -> String {
        let seconds = elapsed / .seconds(1)
        let rate = seconds > 0 ? Double(done) / seconds : 0
        var facts = "\(done)/\(total) \(done * 100 / max(total, 1)) %"
        if rate > 0 {
            facts += " \(Self.rounded(rate)) \(unit)/s, \(Self.clock(Double(total - done) / rate)) left"
        }
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

/// Shows a progress line where standard error is a terminal, and nothing otherwise.
@MainActor
final class ProgressBar {
    private let line: ProgressLine
    private let isVisible: Bool
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var lastShown: ContinuousClock.Instant?

    private static let interval: Duration = .milliseconds(100)
    private static let eraseLine = "\r\u{1B}[K"

    init(_ activity: String, of total: Int, unit: String = "images") {
        line = ProgressLine(activity: activity, unit: unit, total: total)
        isVisible = isatty(STDERR_FILENO) == 1
        start = clock.now
    }

    /// Time since it was made.
    var elapsed: Duration { start.duration(to: clock.now) }

    /// Shows that so many are done, at most ten times a second.
    func update(_ done: Int) {
        guard isVisible else { return }
        let now = clock.now
        if let lastShown, lastShown.duration(to: now) < Self.interval { return }
        lastShown = now
        let text = line.text(done: done, elapsed: elapsed, width: HelpText.terminalWidth(of: STDERR_FILENO))
        FileHandleOutput.standardError.write(Array((Self.eraseLine + text).utf8))
    }

    /// Writes a line to standard error in the bar's place; the next update shows the bar again.
    func complain(_ text: String) {
        erase()
        HeadwaterProgram.complain(text)
    }

    /// Takes the bar away.
    func erase() {
        guard isVisible, lastShown != nil else { return }
        lastShown = nil
        FileHandleOutput.standardError.write(Array(Self.eraseLine.utf8))
    }
}
