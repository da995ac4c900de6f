/// Renders descriptions as scripts that make a shell complete the program's command line.
package struct ShellCompletion {
    package enum Shell: String, CaseIterable, Sendable { case bash, zsh, fish }

    /// Something that may be typed, and what it does.
    struct Word {
        let name: String
        /// One line.
        let help: String
    }

    let program: Program

    package init(of program: Program) { self.program = program }

    package func script(for shell: Shell) -> String {
        switch shell {
        case .bash: bash
        case .zsh: zsh
        case .fish: fish
        }
    }

    /// The program's name as part of a shell function's.
    var identifier: String { String(program.name.map { $0.isLetter || $0.isNumber ? $0 : "_" }) }

    /// What the first argument may be.
    var firstWords: [Word] {
        program.topics.map { Word(name: $0.name, help: $0.abstract) } + [
            Word(name: "help", help: "show the help of a command"), Word(name: "--help", help: "show this help"),
            Word(name: "--version", help: "show the version"),
        ]
    }

    /// The commands of one word, and the groups with their commands, in the order of the commands.
    var topics: [(name: String, content: Topic)] {
        program.topics.map { topic in
            guard let group = program.group(named: topic.name) else {
                return (topic.name, .command(program.commands.first { $0.name == topic.name }!))
            }
            return (topic.name, .group(program.commands(of: group)))
        }
    }

    /// What follows a first word.
    enum Topic {
        /// The arguments of a command.
        case command(Command)
        /// One of these commands.
        case group([Command])
    }

    /// Every way to write a command's options, `--help` and what turns a switch off among them.
    static func optionWords(of command: Command) -> [Word] {
        command.options.flatMap { option in
            let summary = summary(of: option)
            return option.forms.map { Word(name: $0, help: summary) }
                + (option.isFlag ? [Word(name: "--no-\(option.name)", help: "turn off: \(summary)")] : [])
        } + [Word(name: "-h", help: helpSummary), Word(name: "--help", help: helpSummary)]
    }

    static let helpSummary = "show the command's help"

    /// The first sentence of an option's help, without its full stop.
    static func summary(of option: OptionSpecification) -> String {
        let sentence = option.help.firstRange(of: ". ").map { option.help[..<$0.lowerBound] } ?? option.help[...]
        return String(sentence.hasSuffix(".") ? sentence.dropLast() : sentence)
    }
}
