/// The commit that the program was built from: 40 hexadecimal digits, with `-modified` behind them if files differed from the
/// commit; `unknown` if it was not built in a checkout. The plugin `RecordCommit` writes it.
public let buildCommit: String = recordedCommit
