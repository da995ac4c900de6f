import UntrustedText

/// A command line or environment that can't be carried out: what is wrong, where, and what to do.
package struct UsageError: Error, Equatable, CustomStringConvertible {
    /// Where: a flag, a variable or a positional's name, as the user writes it; nil if it is the whole line.
    package var source: String?
    package var problem: String
    package var remedy: String
    /// The command line that shows the help, such as `headwater serve --help`; ``Program`` adds it.
    package var helpCommand: String?

    package init(_ problem: String, at source: String? = nil, remedy: String) {
        self.source = source
        self.problem = problem
        self.remedy = remedy
    }

    /// Place, problem and remedy on a line, then where to read more.
    package var description: String {
        let place = source.map { "\($0): " } ?? ""
        let help = helpCommand.map { "\nSee '\($0)'." } ?? ""
        return "\(place)\(problem); \(remedy)\(help)"
    }

    /// What the user wrote, in quotes, cut to be readable and without characters that could command a terminal.
    package static func quoted(_ text: String) -> String { "'\(printable(text, atMost: 80))'" }
}
