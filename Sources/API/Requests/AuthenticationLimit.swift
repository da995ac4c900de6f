import Glibc

/// How many wrong keys a client's address may present: some at once, then one an interval. A decision over times passed in,
/// by the generic cell rate algorithm (ITU-T I.371): an address is known by the one instant at which it would be forgiven
/// everything.
///
/// Only wrong keys are counted and refused. A right key is accepted, however many wrong ones came from its address: behind a
/// proxy all clients have one address, and a client that sends a few wrong keys could otherwise lock all of them out.
struct AuthenticationLimit: Sendable {
    struct Allowance: Sendable {
        /// Wrong keys at once.
        var burst = 10
        /// The time after which one more is granted.
        var interval: Duration = .seconds(6)
        /// Addresses remembered. When there are more, the one closest to being forgiven is forgotten.
        var addresses = 4096
    }

    private let allowance: Allowance
    private var forgiven: [String: ContinuousClock.Instant] = [:]

    init(_ allowance: Allowance = Allowance()) {
        precondition(allowance.burst > 0 && allowance.interval > .zero && allowance.addresses > 0)
        self.allowance = allowance
    }

    /// The addresses remembered.
    var count: Int { forgiven.count }

    /// Counts a wrong key.
    ///
    /// - Returns: nil if the allowance covers it; else the time until it covers another. What it doesn't cover isn't held
    ///   against the address.
    mutating func fail(_ address: String, at now: ContinuousClock.Instant) -> Duration? {
        let client = Self.client(address)
        let due = max(forgiven[client] ?? now, now) + allowance.interval
        let excess = now.duration(to: due) - allowance.interval * allowance.burst
        guard excess <= .zero else { return excess }
        if forgiven[client] == nil { makeRoom(at: now) }
        forgiven[client] = due
        return nil
    }

    private mutating func makeRoom(at now: ContinuousClock.Instant) {
        guard forgiven.count >= allowance.addresses else { return }
        forgiven = forgiven.filter { $0.value > now }
        guard forgiven.count >= allowance.addresses, let next = forgiven.min(by: { $0.value < $1.value }) else {
            return
        }
        forgiven[next.key] = nil
    }

    /// What counts as one client: an IPv4 address, or the /64 network of an IPv6 address, since a client that has one address of
    /// such a network usually has all of them.
    static func client(_ address: String) -> String {
        var bytes = in6_addr()
        guard inet_pton(AF_INET6, address, &bytes) == 1 else { return address }
        return withUnsafeBytes(of: bytes) { "\(Array($0.prefix(8)))" }
    }
}
