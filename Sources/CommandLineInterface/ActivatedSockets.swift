import Arguments

/// The sockets that systemd listens on and passes to the service that it starts (sd_listen_fds(3)), by their names.
struct ActivatedSockets: Equatable, Sendable {
    static let adminName = "admin"
    static let publicName = "public"
    private(set) var `public`: Int32?
    private(set) var admin: Int32?

    init() {}

    /// Reads `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`. A single socket without one of the two names is the public
    /// listener's: a socket unit that sets no `FileDescriptorName=` gives it the unit's name.
    ///
    /// - Parameters:
    ///   - process: this process's ID. Sockets that were passed to its parent are ignored.
    ///   - first: the first descriptor passed; the others follow it.
    /// - Throws: for names that don't say which listener a socket is for.
    init(environment: [String: String], process: Int32, first: Int32 = 3) throws(UsageError) {
        guard let text = environment["LISTEN_FDS"], environment["LISTEN_PID"] == String(process) else { return }
        guard let count = Int32(text), (0...1024).contains(count) else {
            throw UsageError(
                "\(UsageError.quoted(text)) is not a number of sockets", at: "LISTEN_FDS",
                remedy: "unset LISTEN_FDS, or start the service from a systemd socket unit")
        }
        let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        for (index, descriptor) in (first..<(first + count)).enumerated() {
            let name = index < names.count ? String(names[index]) : ""
            switch name {
            case Self.publicName where `public` == nil: `public` = descriptor
            case Self.adminName where admin == nil: admin = descriptor
            case _ where count == 1: `public` = descriptor
            case Self.publicName, Self.adminName:
                throw UsageError(
                    "two sockets have the name \(name)", at: "LISTEN_FDNAMES",
                    remedy: "give one ListenStream= in each socket unit; [::]:8080 takes IPv4 as well")
            default:
                throw UsageError(
                    "the socket \(UsageError.quoted(name)) belongs to no listener", at: "LISTEN_FDNAMES",
                    remedy:
                        "give FileDescriptorName=\(Self.publicName) or FileDescriptorName=\(Self.adminName) in its socket unit"
                )
            }
        }
    }
}
