extension ShellCompletion {
    /// The script for bash. Needs nothing of the package bash-completion.
    ///
    /// Names of files are left to readline's own completion, which knows how to quote them.
    var bash: String {
        let function = "_" + identifier
        var lines = [
            "# Completion of \(program.name)'s command line for bash, made by '\(program.name) completion bash'.",
            "",
            "\(function)() {",
            "    local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} words='' list=''",
            "    # Readline takes --name=value for three words.",
            "    if [[ $word == = ]]; then",
            "        word=''",
            "    elif [[ $option == = ]]; then",
            "        option=${COMP_WORDS[COMP_CWORD - 2]}",
            "    fi",
            "    COMPREPLY=()",
            "    if [[ $COMP_CWORD -eq 1 ]]; then",
            "        words='\(firstWords.map(\.name).joined(separator: " "))'",
            "    else",
            "        case ${COMP_WORDS[1]} in",
            "            help) words='\(program.topics.map(\.name).joined(separator: " "))' ;;",
        ]
        for topic in topics {
            lines.append("            \(topic.name))")
            switch topic.content {
            case .command(let command): lines += Self.bashCases(of: command).map { "                " + $0 }
            case .group(let commands): lines += Self.bashCases(of: commands).map { "                " + $0 }
            }
            lines.append("                ;;")
        }
        lines += [
            "        esac",
            "    fi",
            "    if [[ -n $list ]]; then",
            "        # Only the last element is completed; a comma may follow it.",
            "        compopt -o nospace",
            "        words=$list list=${word%\"${word##*,}\"} word=${word##*,}",
            "    fi",
            "    mapfile -t COMPREPLY < <(compgen -P \"$list\" -W \"$words\" -- \"$word\")",
            "}",
            "",
            "complete -F \(function) \(program.name)",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    /// Sets `words` to the group's commands, or completes after one of them.
    private static func bashCases(of group: [Command]) -> [String] {
        var lines = [
            "if [[ $COMP_CWORD -eq 2 ]]; then", "    words='\(group.map(\.lastWord).joined(separator: " ")) --help'",
            "else", "    case ${COMP_WORDS[2]} in",
        ]
        for command in group {
            lines.append("    \(command.lastWord))")
            lines += bashCases(of: command).map { "        " + $0 }
            lines.append("        ;;")
        }
        return lines + ["    esac", "fi"]
    }

    /// Sets `words` or `list`, or asks for names of files: after an option for its value, elsewhere for anything else.
    private static func bashCases(of command: Command) -> [String] {
        var lines = ["case $option in"]
        for option in command.options where !option.isFlag {
            lines.append("    \(option.forms.joined(separator: " | "))) \(bashOffer([option.completion])) ;;")
        }
        lines.append("    *)")
        lines.append("        if [[ $word == -* ]]; then")
        lines.append("            words='\(optionWords(of: command).map(\.name).joined(separator: " "))'")
        let others = bashOffer(command.positionals.map(\.completion))
        if others != ":" { lines += ["        else", "            \(others)"] }
        return lines + ["        fi", "        ;;", "esac"]
    }

    private static func bashOffer(_ completions: [Completion]) -> String {
        for completion in completions {
            switch completion {
            case .none: continue
            case .file: return "compopt -o default"
            case .folder: return "compopt -o dirnames"
            case .choices(let choices): return "words='\(choices.joined(separator: " "))'"
            case .list(let choices): return "list='\(choices.joined(separator: " "))'"
            }
        }
        return ":"
    }
}
