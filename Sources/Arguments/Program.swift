import UntrustedText

/// A program of subcommands: turns argv and environment into what to do, and does nothing itself but look up what an earlier run
/// was given, where a command that goes on with its work leaves options out.
package struct Program: Sendable {
    package enum Invocation: Sendable {
        /// Print this to standard output and exit 0.
        case show(String)
        /// Carry out the command of this name.
        case run(command: String, ParsedArguments)
    }

    /// What is typed for it.
    package let name: String
    /// One line, without a full stop.
    package let abstract: String
    package let version: String
    /// What the names of all environment variables begin with.
    package let environmentPrefix: String
    package let commands: [Command]
    /// The first words of commands of two words.
    package let groups: [CommandGroup]
    /// The statuses that it ends with, ascending, and a sentence on each.
    package let exitStatuses: [(code: Int32, meaning: String)]

    package init(
        name: String, abstract: String, version: String, environmentPrefix: String, commands: [Command],
        groups: [CommandGroup] = [], exitStatuses: [(code: Int32, meaning: String)] = []
    ) {
        self.name = name
        self.abstract = abstract
        self.version = version
        self.environmentPrefix = environmentPrefix
        self.commands = commands
        self.groups = groups
        self.exitStatuses = exitStatuses
    }

    static let precedence =
        "A flag takes precedence over its variable, and the variable over the default. An empty variable counts as unset."

    /// How options are set by variables.
    var environmentRule: String {
        "Every option can also be set by an environment variable: \(environmentPrefix) followed by the option's name in "
            + "capitals with underscores. The help of a command lists them. \(Self.precedence)"
    }

    /// What is wrong with the descriptions themselves; empty in a correct program, which a test asserts.
    var descriptionFaults: [String] {
        let names = commands.map(\.name)
        let faults = names.filter { name in names.filter { $0 == name }.count > 1 || name == "help" }
        let strangers = commands.filter { $0.group.map { group(named: $0) == nil } ?? false }
        return faults.map { "command \($0) means two things" } + strangers.map { "\($0.name) is of no group" }
            + commands.flatMap(\.descriptionFaults)
    }

    /// What a command line asks for. A flag outweighs the environment, which outweighs the default.
    ///
    /// - Parameters:
    ///   - arguments: without the program's own name.
    ///   - commit: what the program was built from, for `--version`; nil leaves it out.
    ///   - width: columns of the terminal, for help.
    /// - Throws: the first fault, with the place and the remedy.
    package func invocation(
        _ arguments: [String], environment: [String: String], commit: String? = nil, width: Int = 80
    ) throws(UsageError) -> Invocation {
        let help = HelpText(program: self, width: width)
        do throws(UsageError) {
            guard let first = arguments.first else {
                throw UsageError("no command is given", remedy: "give one of \(commandNames)")
            }
            switch first {
            case "--help", "-h": return .show(help.overview)
            case "--version": return .show("\(name) \(version)\(commit.map { " (commit \($0))" } ?? "")\n")
            case "help":
                let topic = arguments.dropFirst()
                guard let first = topic.first else { return .show(help.overview) }
                if topic.count == 1, let group = group(named: first) { return .show(help.text(of: group)) }
                return .show(help.text(of: try command(at: topic).command))
            default: break
            }
            if let group = group(named: first), arguments.count > 1, asksForHelp(arguments[1...1]) {
                return .show(help.text(of: group))
            }
            let (command, rest) = try command(at: arguments[...])
            if asksForHelp(rest) { return .show(help.text(of: command)) }
            return .run(command: command.name, try parse(rest, environment, of: command))
        } catch {
            throw withHelp(error, arguments)
        }
    }

    private var commandNames: String { topics.map(\.name).joined(separator: ", ") }

    /// The command whose name the arguments, at least one, begin with, and what follows it.
    private func command(
        at arguments: ArraySlice<String>
    ) throws(UsageError) -> (command: Command, rest: ArraySlice<String>) {
        let name = arguments.first!
        if let command = commands.first(where: { $0.name == name }) { return (command, arguments.dropFirst()) }
        if let group = group(named: name) { return try command(of: group, at: arguments.dropFirst()) }
        let what = name.hasPrefix("-") ? "option" : "command"
        let candidates = topics.map(\.name) + (what == "option" ? ["--help", "--version"] : ["help"])
        let nearest = Suggestion.clause(Suggestion.nearest(to: name, among: candidates))
        throw UsageError("unknown \(what) \(UsageError.quoted(name))", remedy: "give one of \(commandNames)\(nearest)")
    }

    private func command(
        of group: CommandGroup, at arguments: ArraySlice<String>
    ) throws(UsageError) -> (command: Command, rest: ArraySlice<String>) {
        let members = commands(of: group)
        if let word = arguments.first, let command = members.first(where: { $0.lastWord == word }) {
            return (command, arguments.dropFirst())
        }
        let names = members.map(\.lastWord)
        guard let word = arguments.first, !word.hasPrefix("-") else {
            let successor = group.successor(of: arguments)
            throw UsageError(
                "\(group.name) needs a command, one of \(names.joined(separator: ", "))",
                remedy: "give '\(name) \(successor)'"
                    + (arguments.isEmpty ? ", for example" : " and what its help lists"))
        }
        throw UsageError(
            "unknown command \(UsageError.quoted("\(group.name) \(word)"))",
            remedy: "give one of \(names.joined(separator: ", "))"
                + Suggestion.clause(Suggestion.nearest(to: word, among: names)))
    }

    private func asksForHelp(_ arguments: ArraySlice<String>) -> Bool {
        arguments.prefix { $0 != "--" }.contains { $0 == "--help" || $0 == "-h" }
    }

    private func parse(
        _ arguments: ArraySlice<String>, _ environment: [String: String], of command: Command
    ) throws(UsageError) -> ParsedArguments {
        let written = try ArgumentScanner(arguments, of: command)
        let variables = EnvironmentScanner(environment, prefix: environmentPrefix, of: command, among: commands)
        let present = variables.options.merging(written.options) { $1 }
        let memory = command.recall?.memory { present[$0]?.text }
        var parsed = ParsedArguments(warnings: variables.warnings)
        for option in command.options {
            let occurrence = present[option.name] ?? memory.occurrence(of: option.name)
            do throws(UsageError) {
                parsed.values[option.name] = try option.evaluate(occurrence)
            } catch {
                throw memory.explaining(error, isMissing: occurrence == nil)
            }
            parsed.sources[option.name] = occurrence?.source
            parsed.given[option.name] = occurrence?.text
            parsed.texts[option.name] = option.text(of: occurrence)
        }
        try assign(written.positionals, memory, of: command, to: &parsed)
        return parsed
    }

    private func assign(
        _ written: [String], _ memory: Recall.Memory?, of command: Command, to parsed: inout ParsedArguments
    ) throws(UsageError) {
        var remaining = written[...]
        for positional in command.positionals {
            var own = Array(remaining.prefix(positional.count.upperBound))
            remaining = remaining.dropFirst(own.count)
            if own.isEmpty { own = memory.occurrence(of: positional.name).map { [$0.text] } ?? [] }
            do throws(UsageError) {
                parsed.values[positional.name] = try positional.evaluate(own)
            } catch {
                throw memory.explaining(error, isMissing: own.isEmpty)
            }
            parsed.given[positional.name] = own.last
        }
        guard let surplus = remaining.first else { return }
        let accepted = command.positionals.map(\.usage).joined(separator: " ")
        throw UsageError(
            "unexpected argument \(UsageError.quoted(surplus))",
            remedy: accepted.isEmpty ? "\(command.name) takes options only" : "\(command.name) takes \(accepted)")
    }

    private func withHelp(_ error: UsageError, _ arguments: [String]) -> UsageError {
        var error = error
        let words = [2, 1].map { arguments.prefix($0).joined(separator: " ") }
        let topic = words.first { words in commands.contains { $0.name == words } || group(named: words) != nil }
        error.helpCommand = [name, topic, "--help"].compactMap(\.self).joined(separator: " ")
        return error
    }
}

extension Recall.Memory? {
    /// What it holds for an option or positional.
    fileprivate func occurrence(of name: String) -> Occurrence? {
        guard case .values(let values, let file) = self, let text = values[name] else { return nil }
        let written = name.contains { $0.isLowercase } ? "--\(name)" : name
        return Occurrence(text: text, source: .memory(option: written, file: file))
    }

    /// An error, with the reason why nothing was found to stand for what is missing.
    fileprivate func explaining(_ error: UsageError, isMissing: Bool) -> UsageError {
        guard case .nothing(let reason) = self, isMissing else { return error }
        var error = error
        error.problem += ", and \(reason)"
        return error
    }
}
