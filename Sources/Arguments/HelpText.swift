/// Renders descriptions as help, wrapped to a terminal's width.
struct HelpText {
    private let program: Program
    private let width: Int
    /// The column at which descriptions begin.
    private static let indent = 30

    /// - Parameter width: columns; what is narrower than 40 or wider than 120 is hard to read and is not followed.
    init(program: Program, width: Int) {
        self.program = program
        self.width = min(max(width, 40), 120)
    }

    /// The program's own help: its commands, variables and exit statuses.
    var overview: String {
        var lines = wrapped("\(program.name): \(program.abstract)", to: width)
        lines += ["", "Usage: \(program.name) COMMAND [OPTIONS]", ""] + list(program.topics)
        lines += row("      --version", "Show the version.")
        lines += ["", "Environment:"]
        lines += wrapped(program.environmentRule, to: width - 2).map { "  " + $0 }
        lines += ["", "Exit status:"]
        for status in program.exitStatuses { lines += row("  \(status.code)", status.meaning) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A group's help: its commands.
    func text(of group: CommandGroup) -> String {
        var lines = wrapped("\(program.name) \(group.name): \(group.abstract)", to: width)
        lines += ["", "Usage: \(program.name) \(group.name) COMMAND [OPTIONS]", ""]
        if !group.discussion.isEmpty { lines += wrapped(group.discussion, to: width) + [""] }
        lines += list(program.commands(of: group).map { ($0.lastWord, $0.abstract) })
        return lines.joined(separator: "\n") + "\n"
    }

    /// The words that may follow, and the option that explains them.
    private func list(_ commands: [(name: String, abstract: String)]) -> [String] {
        ["Commands:"] + commands.flatMap { row("  \($0.name)", $0.abstract) } + ["", "Options:"]
            + row("  -h, --help", "Show this help. After a command, show the command's help.")
    }

    func text(of command: Command) -> String {
        var sections = [
            wrapped("\(program.name) \(command.name): \(command.abstract)", to: width),
            wrapped("Usage: \(program.name) \(command.usage)", to: width),
        ]
        if !command.discussion.isEmpty { sections.append(wrapped(command.discussion, to: width)) }
        if !command.positionals.isEmpty {
            sections.append(["Arguments:"] + command.positionals.flatMap { row("  \($0.usage)", $0.help) })
        }
        sections += optionSections(of: command)
        if !command.options.isEmpty || !command.variables.isEmpty { sections.append(environmentSection(of: command)) }
        if !command.examples.isEmpty {
            let lines = command.examples.flatMap { effect, line in
                wrapped(effect, to: width - 2).map { "  " + $0 } + ["    $ \(line)"]
            }
            sections.append(["Examples:"] + lines)
        }
        return sections.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    /// A section per group.
    private func optionSections(of command: Command) -> [[String]] {
        let help = row("  -h, --help", "Show this help.")
        let groups = command.optionGroups
        var sections = groups.map { group in ["\(group.name):"] + group.options.flatMap { row(of: $0) } }
        if let index = groups.firstIndex(where: { $0.name == OptionGroup.mainName }) {
            sections[index] += help
        } else {
            sections.append(["\(OptionGroup.mainName):"] + help)
        }
        return sections
    }

    private func row(of option: OptionSpecification) -> [String] {
        let short = option.short.map { "-\($0), " } ?? "    "
        return row("  \(short)\(option.usage)", "\(option.help) [\(option.details(prefix: program.environmentPrefix))]")
    }

    private func environmentSection(of command: Command) -> [String] {
        let others = command.variables.flatMap { row("  \($0.key)", $0.value) }
        return ["Environment:"] + wrapped(Command.environmentRule, to: width - 2).map { "  " + $0 } + others
    }

    /// A term, and its description to the right of it, or below where the term is too long or the terminal too narrow.
    private func row(_ term: String, _ description: String) -> [String] {
        let indent = width >= 70 ? Self.indent : 10
        let margin = String(repeating: " ", count: indent)
        var lines = wrapped(description, to: width - indent).map { $0.isEmpty ? "" : margin + $0 }
        guard term.count + 2 <= indent, let first = lines.first else { return [term] + lines }
        lines[0] = term + first.dropFirst(term.count)
        return lines
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
