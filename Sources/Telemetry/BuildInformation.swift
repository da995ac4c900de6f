package struct BuildInformation: Sendable, Equatable {
    /// The program's version, such as `0.1.0`.
    package let version: String
    /// The commit that it was built from: 40 hexadecimal digits, with `-modified` behind them if files differed from the
    /// commit; `unknown` if it was not built in a checkout.
    package let commit: String

    package init(version: String, commit: String) {
        self.version = version
        self.commit = commit
    }
}
