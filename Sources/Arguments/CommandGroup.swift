/// Commands that share their first word, such as `bench network` and `bench served`.
package struct CommandGroup: Sendable {
    package let name: String
    /// One line, without a full stop.
    package let abstract: String
    /// Paragraphs, as those of a ``Command``.
    package let discussion: String
    /// Options that the first word took when it was a command, hyphens included, and the command that each became, which an
    /// error names.
    let formerOptions: [String: String]
    /// The command that the first word alone was.
    let formerCommand: String

    package init(
        name: String, abstract: String, discussion: String = "", formerOptions: [String: String] = [:],
        formerCommand: String
    ) {
        self.name = name
        self.abstract = abstract
        self.discussion = discussion
        self.formerOptions = formerOptions
        self.formerCommand = formerCommand
    }

    /// The command that does what these arguments, of which the first is no command, did when the first word was one.
    func successor(of arguments: ArraySlice<String>) -> String {
        let options = arguments.map { $0.prefix { $0 != "=" } }
        return options.lazy.compactMap { formerOptions[String($0)] }.first ?? formerCommand
    }
}

extension Command {
    /// The first word of a name of two; nil if it has one word.
    var group: String? { name.firstIndex(of: " ").map { String(name[..<$0]) } }

    /// The last word of its name.
    var lastWord: String { String(name[(name.lastIndex(of: " ").map(name.index(after:)) ?? name.startIndex)...]) }
}

extension Program {
    /// What the first argument may be: commands of one word, and groups, in the order of the commands.
    var topics: [(name: String, abstract: String)] {
        var topics: [(name: String, abstract: String)] = []
        for command in commands {
            guard let name = command.group, let group = group(named: name) else {
                topics.append((command.name, command.abstract))
                continue
            }
            if !topics.contains(where: { $0.name == name }) { topics.append((name, group.abstract)) }
        }
        return topics
    }

    /// The group with that first word; nil if there is none.
    func group(named name: String) -> CommandGroup? { groups.first { $0.name == name } }

    /// The commands of a group.
    func commands(of group: CommandGroup) -> [Command] { commands.filter { $0.group == group.name } }
}
