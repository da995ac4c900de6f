/// How fast work of one sort gets done: a mean over the last seconds of busy time. A pure value: the caller measures the time.
struct WorkRate: Sendable, Equatable {
    /// Seconds of busy time after which a measurement counts half as much. Long enough that one slow step is no trend, short
    /// enough to follow another model, or other programs on the same processors.
    static let memory = 5.0

    private var amount = 0.0
    private var seconds = 0.0

    /// Whether anything has been measured.
    var isMeasured: Bool { seconds > 0 }

    /// Takes in that `amount` of work, in whatever unit, took so many busy seconds.
    mutating func record(_ amount: Double, in seconds: Double) {
        guard amount > 0, seconds > 0, amount.isFinite, seconds.isFinite else { return }
        let share = Self.memory / (Self.memory + seconds)
        self.amount = self.amount * share + amount
        self.seconds = self.seconds * share + seconds
    }

    /// Seconds that so much work takes; 0 while nothing has been measured, so that a new service admits requests.
    func seconds(for amount: Double) -> Double { isMeasured ? amount * seconds / self.amount : 0 }
}
