/// Which build of the program runs.
public struct BuildInformation: Sendable, Equatable {
    /// The program's version, such as `0.1.0`.
    public let version: String
    /// The commit that it was built from: 40 hexadecimal digits, with `-modified` behind them if files differed from the
    /// commit; `unknown` if it was not built in a checkout.
    public let commit: String

    /// Names a build.
    public init(version: String, commit: String) {
        self.version = version
        self.commit = commit
    }
}
