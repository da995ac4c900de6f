import UntrustedText

/// A command line or environment that can't be carried out: what is wrong, where, and what to do.
struct UsageError: Error, Equatable, CustomStringConvertible {
    /// Where: a flag, a variable or a positional's name, as the user writes it; nil if it is the whole line.
    var source: String?
    /// What is wrong.
    var problem: String
    /// What to do.
    var remedy: String
    /// The command whose help tells more, such as `headwater serve --help`; added by ``Program``.
    var helpCommand: String?

    init(_ problem: String, at source: String? = nil, remedy: String) {
        self.source = source
        self.problem = problem
        self.remedy = remedy
    }

    var description: String {
        let place = source.map { "\($0): " } ?? ""
        let help = helpCommand.map { "\nSee '\($0)'." } ?? ""
        return "\(place)\(problem); \(remedy)\(help)"
    }

    /// What the user wrote, in quotes, cut to be readable and without characters that could command a terminal.
    static func quoted(_ text: String) -> String { "'\(printable(text, atMost: 80))'" }
}
