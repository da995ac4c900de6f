extension ShellCompletion {
    var fish: String {
        let (isFirst, isSecond) = ("__\(identifier)_first", "__\(identifier)_second")
        let follows = "__\(identifier)_follows"
        var lines = [
            "# Completion of \(program.name)'s command line for fish, made by '\(program.name) completion fish'.",
            "",
            "# Whether the word at the cursor is the first argument.",
            "function \(isFirst)",
            "    test (count (commandline -opc)) -eq 1",
            "end",
            "",
            "# Whether it comes after this command, of one word or two; fish's own helper would take a file of that name for the "
                + "command.",
            "function \(follows)",
            "    set -l words (commandline -opc)",
            "    set -l last (math 1 + (count $argv))",
            "    test (count $words) -ge $last; and test \"$words[2..$last]\" = \"$argv\"",
            "end",
            "",
            "# Whether it comes right after this first word of commands.",
            "function \(isSecond)",
            "    test (count (commandline -opc)) -eq 2; and \(follows) $argv",
            "end",
            "",
            "complete -c \(program.name) -f",
        ]
        for word in firstWords {
            let name = word.name.hasPrefix("--") ? "-l \(word.name.dropFirst(2))" : "-a \(word.name)"
            lines.append("complete -c \(program.name) -n \(isFirst) \(name) -d \(Self.fishQuoted(word.help))")
        }
        for topic in program.topics {
            lines.append(
                "complete -c \(program.name) -n '\(follows) help' -a \(topic.name) -d \(Self.fishQuoted(topic.abstract))"
            )
        }
        for group in program.groups {
            lines.append(
                "complete -c \(program.name) -n '\(isSecond) \(group.name)' -s h -l help "
                    + "-d \(Self.fishQuoted("show the group's commands"))")
        }
        for command in program.commands {
            let start = "complete -c \(program.name) -n '\(follows) \(command.name)'"
            lines.append("")
            if let group = command.group {
                lines.append(
                    "complete -c \(program.name) -n '\(isSecond) \(group)' -a \(command.lastWord) "
                        + "-d \(Self.fishQuoted(command.abstract))")
            }
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
