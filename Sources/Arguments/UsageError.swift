import UntrustedText

/// A command line or environment that can't be carried out: what is wrong, where, and what to do.
public struct UsageError: Error, Equatable, CustomStringConvertible {
    /// Where: a flag, a variable or a positional's name, as the user writes it; nil if it is the whole line.
    public var source: String?
    /// What is wrong.
    public var problem: String
    /// What to do.
    public var remedy: String
    /// The command line that shows the help, such as `headwater serve --help`; ``Program`` adds it.
    public var helpCommand: String?

    /// States an error.
    public init(_ problem: String, at source: String? = nil, remedy: String) {
        self.source = source
        self.problem = problem
        self.remedy = remedy
    }

    /// Place, problem and remedy on a line, then where to read more.
    public var description: String {
        let place = source.map { "\($0): " } ?? ""
        let help = helpCommand.map { "\nSee '\($0)'." } ?? ""
        return "\(place)\(problem); \(remedy)\(help)"
    }

    /// What the user wrote, in quotes, cut to be readable and without characters that could command a terminal.
    public static func quoted(_ text: String) -> String { "'\(printable(text, atMost: 80))'" }
}
