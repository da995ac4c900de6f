import API

/// A program of subcommands: turns argv and environment into what to do, and does nothing itself.
struct Program: Sendable {
    /// What to do.
    enum Invocation: Sendable {
        /// Print this to standard output and exit 0.
        case show(String)
        /// Carry out the command of this name.
        case run(command: String, ParsedArguments)
    }

    let name: String
    /// One line, without a full stop.
    let abstract: String
    let version: String
    /// What the names of all environment variables begin with.
    let environmentPrefix: String
    let commands: [Command]

    static let precedence =
        "A flag outweighs its variable, which outweighs the default; an empty variable counts as unset."

    /// How options are set by variables.
    var environmentRule: String {
        "Every option of a command can be set by a variable too, \(environmentPrefix) and its name in capitals "
            + "with underscores; the command's help gives it. \(Self.precedence)"
    }

    /// What is wrong with the descriptions themselves; empty in a correct program, which a test asserts.
    var descriptionFaults: [String] {
        let names = commands.map(\.name)
        let faults = names.filter { name in names.filter { $0 == name }.count > 1 || name == "help" }
        return faults.map { "command \($0) means two things" } + commands.flatMap(\.descriptionFaults)
    }

    /// What a command line asks for. A flag outweighs the environment, which outweighs the default.
    ///
    /// - Parameters:
    ///   - arguments: without the program's own name.
    ///   - commit: what the program was built from, for `--version`; nil leaves it out.
    ///   - width: columns of the terminal, for help.
    /// - Throws: the first fault, with the place and the remedy.
    func invocation(
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
                guard let topic = arguments.dropFirst().first else { return .show(help.overview) }
                return .show(help.text(of: try command(named: topic)))
            default: break
            }
            let command = try command(named: first)
            if asksForHelp(arguments.dropFirst()) { return .show(help.text(of: command)) }
            return .run(command: command.name, try parse(arguments.dropFirst(), environment, of: command))
        } catch {
            throw withHelp(error, arguments)
        }
    }

    private var commandNames: String { commands.map(\.name).joined(separator: ", ") }

    private func command(named name: String) throws(UsageError) -> Command {
        if let command = commands.first(where: { $0.name == name }) { return command }
        let what = name.hasPrefix("-") ? "option" : "command"
        let candidates = commands.map(\.name) + (what == "option" ? ["--help", "--version"] : ["help"])
        let nearest = Suggestion.clause(Suggestion.nearest(to: name, among: candidates))
        throw UsageError(
            "unknown \(what) \(UsageError.quoted(name))", remedy: "give one of \(commandNames)\(nearest)")
    }

    private func asksForHelp(_ arguments: ArraySlice<String>) -> Bool {
        arguments.prefix { $0 != "--" }.contains { $0 == "--help" || $0 == "-h" }
    }

    private func parse(
        _ arguments: ArraySlice<String>, _ environment: [String: String], of command: Command
    ) throws(UsageError) -> ParsedArguments {
        let written = try ArgumentScanner(arguments, of: command)
        let variables = EnvironmentScanner(environment, prefix: environmentPrefix, of: command, among: commands)
        var options: [String: any Sendable] = [:]
        var sources: [String: ValueSource] = [:]
        var texts: [(name: String, text: String)] = []
        for option in command.options {
            let occurrences = written.options[option.name] ?? variables.options[option.name] ?? []
            options[option.name] = try option.evaluate(occurrences)
            sources[option.name] = occurrences.last?.source
            if let text = option.text(of: occurrences) { texts.append((option.name, text)) }
        }
        return ParsedArguments(
            options: options, sources: sources, positionals: try assign(written.positionals, of: command), texts: texts,
            warnings: variables.warnings)
    }

    private func assign(_ texts: [String], of command: Command) throws(UsageError) -> [String: any Sendable] {
        var values: [String: any Sendable] = [:]
        var remaining = texts[...]
        for positional in command.positionals {
            let own = remaining.prefix(positional.count.upperBound)
            remaining = remaining.dropFirst(own.count)
            values[positional.name] = try positional.evaluate(Array(own))
        }
        guard let surplus = remaining.first else { return values }
        let accepted = command.positionals.map(\.usage).joined(separator: " ")
        throw UsageError(
            "unexpected argument \(UsageError.quoted(surplus))",
            remedy: accepted.isEmpty ? "\(command.name) takes options only" : "\(command.name) takes \(accepted)")
    }

    private func withHelp(_ error: UsageError, _ arguments: [String]) -> UsageError {
        var error = error
        let command = commands.first { $0.name == arguments.first }
        error.helpCommand = [name, command?.name, "--help"].compactMap { $0 }.joined(separator: " ")
        return error
    }
}
