extension ShellCompletion {
    /// The script for zsh, a function of the name `_headwater` that is found in `$fpath`.
    var zsh: String {
        let function = "_" + identifier
        var lines = [
            "#compdef \(program.name)",
            "# Completion of \(program.name)'s command line for zsh, made by '\(program.name) completion zsh'.",
            "",
            "\(function)() {",
            "    local curcontext=$curcontext state",
            "    local -a commands words_first",
            "    commands=(",
        ]
        lines += firstWords.prefix(topics.count).map { "        \(Self.zshDescribed($0))" }
        lines.append("    )")
        lines.append("    words_first=(")
        lines += firstWords.dropFirst(topics.count).map { "        \(Self.zshDescribed($0))" }
        lines += [
            "    )",
            "    if (( CURRENT == 2 )); then",
            "        _describe -t commands command commands -- words_first",
            "        return",
            "    fi",
            "    local command=$words[2]",
            "    # The command's own arguments, as if it were a program.",
            "    shift words",
            "    (( CURRENT-- ))",
            "    case $command in",
            "        help) _describe -t commands command commands ;;",
        ]
        for topic in topics {
            lines.append("        \(topic.name))")
            switch topic.content {
            case .command(let command): lines += Self.zshCall(of: command).map { "            " + $0 }
            case .group(let commands): lines += Self.zshCases(of: commands).map { "            " + $0 }
            }
            lines.append("            ;;")
        }
        lines += [
            "    esac", "}", "", "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then",
            "    \(function) \"$@\"", "else", "    compdef \(function) \(program.name)", "fi",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func zshCases(of group: [Command]) -> [String] {
        var lines = ["commands=("]
        lines += group.map { "    \(zshDescribed(Word(name: $0.lastWord, help: $0.abstract)))" }
        lines += [
            ")", "if (( CURRENT == 2 )); then", "    _describe -t commands command commands", "    return", "fi",
            "command=$words[2]", "shift words", "(( CURRENT-- ))", "case $command in",
        ]
        for command in group {
            lines.append("    \(command.lastWord))")
            lines += zshCall(of: command).map { "        " + $0 }
            lines.append("        ;;")
        }
        return lines + ["esac"]
    }

    private static func zshCall(of command: Command) -> [String] {
        let arguments = zshArguments(of: command)
        return ["_arguments -S : \\"] + arguments.dropLast().map { "    \($0) \\" }
            + arguments.suffix(1).map { "    \($0)" }
    }

    /// What `_arguments` is told.
    private static func zshArguments(of command: Command) -> [String] {
        var lines: [String] = []
        for option in command.options {
            let summary = zshEscaped(summary(of: option), "[]:\\")
            let alternatives = option.forms + (option.isFlag ? ["--no-\(option.name)"] : [])
            let exclusion = option.isRepeated ? "*" : "(\(alternatives.joined(separator: " ")))"
            let value = option.isFlag ? "" : ":\(zshEscaped(option.placeholder, ":\\")):\(zshAction(option.completion))"
            for name in alternatives {
                // Behind a short option the value may stand at once, behind a long one after =.
                let suffix = option.isFlag ? "" : name.hasPrefix("--") ? "=" : "+"
                let help = name.hasPrefix("--no-") && option.isFlag ? "turn off: \(summary)" : summary
                lines.append(zshQuoted("\(exclusion)\(name)\(suffix)[\(help)]\(value)"))
            }
        }
        lines += ["-h", "--help"].map { zshQuoted("(- : *)\($0)[\(helpSummary)]") }
        for positional in command.positionals {
            let message = "\(zshEscaped(positional.name, ":\\")):\(zshAction(positional.completion))"
            let place = positional.count.upperBound > 1 ? "*:" : positional.count.lowerBound == 0 ? "::" : ":"
            lines.append(zshQuoted("\(place)\(message)"))
        }
        return lines
    }

    private static func zshAction(_ completion: Completion) -> String {
        switch completion {
        case .none: ""
        case .file: "_files"
        case .folder: "_files -/"
        case .choices(let choices): "(\(choices.joined(separator: " ")))"
        case .list(let choices): "_sequence compadd - \(choices.joined(separator: " "))"
        }
    }

    private static func zshDescribed(_ word: Word) -> String {
        zshQuoted("\(zshEscaped(word.name, ":\\")):\(word.help)")
    }

    private static func zshEscaped(_ text: String, _ special: String) -> String {
        String(text.flatMap { special.contains($0) ? ["\\", $0] : [$0] })
    }

    private static func zshQuoted(_ text: String) -> String { "'\(text.replacing("'", with: "'\\''"))'" }
}
