/// What load to put on a service.
package enum Load: Sendable, Equatable {
    /// Requests at the times of a schedule, whatever has become of those before: what the world does.
    case open(ArrivalSchedule)
    /// So many clients, each of which sends its next request when its last one is answered: what fills batches and finds
    /// the capacity.
    case closed(clients: Int, duration: Double)

    /// Seconds in which requests are sent.
    package var duration: Double {
        switch self {
        case .open(let schedule): schedule.duration
        case .closed(_, let duration): duration
        }
    }
}

/// Decides when requests are due. A pure value: the time comes from outside, in seconds from the start.
struct Pacing: Sendable {
    private let load: Load
    private var nextArrival = 0
    private var freeClients: [Double] = []

    init(_ load: Load) {
        self.load = load
        if case .closed(let clients, _) = load { freeClients = Array(repeating: 0, count: clients) }
    }

    /// The times from which the requests that are due at `now` count, each given once, in rising order.
    mutating func due(at now: Double) -> [Double] {
        switch load {
        case .open(let schedule):
            let first = nextArrival
            while nextArrival < schedule.times.count, schedule.times[nextArrival] <= now { nextArrival += 1 }
            return Array(schedule.times[first..<nextArrival])
        case .closed(_, let duration):
            defer { freeClients = [] }
            return now < duration ? freeClients : []
        }
    }

    /// Whether a request is due at `now`.
    func isDue(at now: Double) -> Bool {
        switch load {
        case .open(let schedule): nextArrival < schedule.times.count && schedule.times[nextArrival] <= now
        case .closed(_, let duration): now < duration && !freeClients.isEmpty
        }
    }

    /// A request has come to its end.
    mutating func ended(at now: Double) {
        if case .closed = load { freeClients.append(now) }
    }

    /// When the next request will be due by the clock alone; nil if none will.
    var nextTime: Double? {
        guard case .open(let schedule) = load, nextArrival < schedule.times.count else { return nil }
        return schedule.times[nextArrival]
    }

    /// Whether no request will be due from `now` on.
    func isOver(at now: Double) -> Bool {
        switch load {
        case .open(let schedule): nextArrival == schedule.times.count
        case .closed(_, let duration): now >= duration
        }
    }
}
