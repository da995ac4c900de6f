import Glibc

/// Renders descriptions as help, wrapped to a terminal's width.
struct HelpText {
    private let program: Program
    private let width: Int
    /// The column at which descriptions begin.
    private static let indent = 30
    private static let precedence =
        "A flag outweighs its variable, which outweighs the default; an empty variable counts as unset."

    /// - Parameter width: columns; what is narrower than 40 or wider than 120 is hard to read and is not followed.
    init(program: Program, width: Int) {
        self.program = program
        self.width = min(max(width, 40), 120)
    }

    /// The columns of the terminal on a descriptor, or 80 if it isn't one.
    static func terminalWidth(of descriptor: Int32 = STDOUT_FILENO) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The program's own help: its commands, variables and exit statuses.
    var overview: String {
        var lines = wrapped("\(program.name): \(program.abstract)", to: width)
        lines += ["", "Usage: \(program.name) COMMAND [OPTIONS]", "", "Commands:"]
        for command in program.commands { lines += row("  \(command.name)", command.abstract) }
        lines += ["", "Options:"]
        lines += row("  -h, --help", "Show this help; after a command, that command's.")
        lines += row("      --version", "Show the version.")
        lines += ["", "Environment:"]
        let rule =
            "Every option of a command can be set by a variable too, \(program.environmentPrefix) and its name in capitals "
            + "with underscores; the command's help gives it. \(Self.precedence)"
        lines += wrapped(rule, to: width - 2).map { "  " + $0 }
        lines += ["", "Exit status:"]
        for status in ExitStatus.allCases { lines += row("  \(status.rawValue)", status.meaning) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A command's help.
    func text(of command: Command) -> String {
        let usage = ["Usage:", program.name, command.name, "[OPTIONS]"] + command.positionals.map(\.usage)
        var sections = [
            wrapped("\(program.name) \(command.name): \(command.abstract)", to: width),
            wrapped(usage.joined(separator: " "), to: width),
        ]
        if !command.discussion.isEmpty { sections.append(wrapped(command.discussion, to: width)) }
        if !command.positionals.isEmpty {
            sections.append(["Arguments:"] + command.positionals.flatMap { row("  \($0.usage)", $0.help) })
        }
        sections += optionSections(of: command)
        if !command.options.isEmpty || !command.variables.isEmpty { sections.append(environmentSection(of: command)) }
        if !command.examples.isEmpty {
            let lines = command.examples.flatMap { example in
                wrapped(example.effect, to: width - 2).map { "  " + $0 } + ["    $ \(example.line)"]
            }
            sections.append(["Examples:"] + lines)
        }
        return sections.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    /// A section per group, in the order in which the groups first appear.
    private func optionSections(of command: Command) -> [[String]] {
        var groups: [String] = []
        for option in command.options where !groups.contains(option.group) { groups.append(option.group) }
        let help = row("  -h, --help", "Show this help.")
        var sections = groups.map { group in
            ["\(group):"] + command.options.filter { $0.group == group }.flatMap { row(of: $0, command) }
        }
        if let index = groups.firstIndex(of: OptionSpecification.mainGroup) {
            sections[index] += help
        } else {
            sections.append(["\(OptionSpecification.mainGroup):"] + help)
        }
        return sections
    }

    private func row(of option: OptionSpecification, _ command: Command) -> [String] {
        let short = option.short.map { "-\($0), " } ?? "    "
        let name = option.isFlag ? "--[no-]\(option.name)" : "--\(option.name) \(option.placeholder)"
        var details: [String] = []
        if !option.isFlag, case .choices(let choices) = option.completion {
            details.append("one of \(choices.joined(separator: ", "))")
        }
        if option.isRequired { details.append("required") }
        if option.isRepeated { details.append("may be repeated") }
        if let text = option.defaultText { details.append("default \(text)") }
        details.append(option.variable(prefix: program.environmentPrefix))
        let suffix = details.isEmpty ? "" : " [\(details.joined(separator: "; "))]"
        return row("  \(short)\(name)", option.help + suffix)
    }

    private func environmentSection(of command: Command) -> [String] {
        let rule =
            "Each option's variable is given with it. \(Self.precedence) A switch's variable is true or false; of an option that may be "
            + "repeated it holds the values with commas between them."
        let others = command.variables.flatMap { row("  \($0.name)", $0.help) }
        return ["Environment:"] + wrapped(rule, to: width - 2).map { "  " + $0 } + others
    }

    /// A term, and its description beside it, or below where the term is too long or the terminal too narrow.
    private func row(_ term: String, _ description: String) -> [String] {
        let indent = width >= 70 ? Self.indent : 10
        let margin = String(repeating: " ", count: indent)
        let lines = wrapped(description, to: width - indent).map { $0.isEmpty ? "" : margin + $0 }
        guard term.count + 2 <= indent, let first = lines.first else { return [term] + lines }
        return [term + first.dropFirst(term.count)] + lines.dropFirst()
    }

    /// Lines of at most `width` characters, broken at spaces; a longer word stands alone. Empty lines and lines that
    /// begin with a space are kept, other line ends aren't.
    private func wrapped(_ text: String, to width: Int) -> [String] {
        var lines: [String] = []
        var current = ""
        func finish() {
            if !current.isEmpty { lines.append(current) }
            current = ""
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty || line.hasPrefix(" ") {
                finish()
                lines.append(String(line))
                continue
            }
            for word in line.split(separator: " ") {
                if !current.isEmpty, current.count + 1 + word.count > width { finish() }
                current += current.isEmpty ? String(word) : " \(word)"
            }
        }
        finish()
        return lines
    }
}
