extension ShellCompletion {
    /// The script for fish.
    var fish: String {
        let (isFirst, follows) = ("__\(identifier)_first", "__\(identifier)_follows")
        var lines = [
            "# Completion of \(program.name)'s command line for fish, made by '\(program.name) completion fish'.",
            "",
            "# Whether the word at the cursor is the first argument.",
            "function \(isFirst)",
            "    test (count (commandline -opc)) -eq 1",
            "end",
            "",
            "# Whether it comes after this command; fish's own helper would take a file of that name for the command.",
            "function \(follows)",
            "    set -l words (commandline -opc)",
            "    test (count $words) -gt 1; and test $words[2] = $argv[1]",
            "end",
            "",
            "complete -c \(program.name) -f",
        ]
        for word in firstWords {
            let name = word.name.hasPrefix("--") ? "-l \(word.name.dropFirst(2))" : "-a \(word.name)"
            lines.append("complete -c \(program.name) -n \(isFirst) \(name) -d \(Self.fishQuoted(word.help))")
        }
        for command in program.commands {
            let start = "complete -c \(program.name) -n '\(follows) \(command.name)'"
            lines.append("")
            lines.append(
                "complete -c \(program.name) -n '\(follows) help' -a \(command.name) -d \(Self.fishQuoted(command.abstract))"
            )
            lines += Self.fishOptions(of: command).map { "\(start) \($0)" }
            for positional in command.positionals where positional.completion != .none {
                lines.append("\(start)\(Self.fishArguments(positional.completion, ofOption: false))")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func fishOptions(of command: Command) -> [String] {
        var lines: [String] = []
        for option in command.options {
            let short = option.short.map { "-s \($0) " } ?? ""
            let summary = fishQuoted(summary(of: option))
            let arguments = option.isFlag ? "" : fishArguments(option.completion, ofOption: true)
            lines.append("\(short)-l \(option.name)\(arguments) -d \(summary)")
            if option.isFlag {
                lines.append("-l no-\(option.name) -d \(fishQuoted("turn off: "  + self.summary(of: option)))")
            }
        }
        return lines + ["-s h -l help -d \(fishQuoted(helpSummary))"]
    }

    /// What is offered; an option's value without an offer is still asked for.
    private static func fishArguments(_ completion: Completion, ofOption isOption: Bool) -> String {
        let exclusive = isOption ? " -x" : ""
        return switch completion {
        case .none: exclusive
        case .file: isOption ? " -r -F" : " -F"
        case .folder: "\(exclusive) -a '(__fish_complete_directories)'"
        case .choices(let choices): "\(exclusive) -a '\(choices.joined(separator: " "))'"
        case .list(let choices): "\(exclusive) -a '(__fish_append , \(choices.joined(separator: " ")))'"
        }
    }

    private static func fishQuoted(_ text: String) -> String {
        "'\(text.replacing("\\", with: "\\\\").replacing("'", with: "\\'"))'"
    }
}
