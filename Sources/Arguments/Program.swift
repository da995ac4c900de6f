import UntrustedText

/// A program of subcommands: turns argv and environment into what to do, and does nothing itself but look up what an earlier run
/// was given, where a command that goes on with its work leaves options out.
public struct Program: Sendable {
    /// What to do.
    public enum Invocation: Sendable {
        /// Print this to standard output and exit 0.
        case show(String)
        /// Carry out the command of this name.
        case run(command: String, ParsedArguments)
    }

    /// What is typed for it.
    public let name: String
    /// One line, without a full stop.
    public let abstract: String
    /// As `--version` shows it.
    public let version: String
    /// What the names of all environment variables begin with.
    public let environmentPrefix: String
    /// In the order of the help.
    public let commands: [Command]
    /// The statuses that it ends with, ascending.
    public let exitStatuses: [ExitStatus]

    /// A status that the program ends with.
    public struct ExitStatus: Sendable {
        /// What its caller sees.
        public let code: Int32
        /// A sentence.
        public let meaning: String

        /// Describes a status.
        public init(code: Int32, meaning: String) {
            self.code = code
            self.meaning = meaning
        }
    }

    /// Describes a program.
    public init(
        name: String, abstract: String, version: String, environmentPrefix: String, commands: [Command],
        exitStatuses: [ExitStatus] = []
    ) {
        self.name = name
        self.abstract = abstract
        self.version = version
        self.environmentPrefix = environmentPrefix
        self.commands = commands
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
        return faults.map { "command \($0) means two things" } + commands.flatMap(\.descriptionFaults)
    }

    /// What a command line asks for. A flag outweighs the environment, which outweighs the default.
    ///
    /// - Parameters:
    ///   - arguments: without the program's own name.
    ///   - commit: what the program was built from, for `--version`; nil leaves it out.
    ///   - width: columns of the terminal, for help.
    /// - Throws: the first fault, with the place and the remedy.
    public func invocation(
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
        let present = variables.options.merging(written.options) { $1 }
        let memory = command.recall?.memory { present[$0]?.last?.text }
        var options: [String: any Sendable] = [:]
        var sources: [String: ValueSource] = [:]
        var texts: [(name: String, text: String)] = []
        var given: [String: String] = [:]
        for option in command.options {
            let occurrences = present[option.name] ?? memory.occurrences(of: option.name)
            do throws(UsageError) {
                options[option.name] = try option.evaluate(occurrences)
            } catch {
                throw memory.explaining(error, isMissing: occurrences.isEmpty)
            }
            sources[option.name] = occurrences.last?.source
            if let text = option.text(of: occurrences) { texts.append((option.name, text)) }
            given[option.name] = occurrences.last?.text
        }
        let positionals = try assign(written.positionals, memory, of: command, &given)
        return ParsedArguments(
            options: options, sources: sources, positionals: positionals, texts: texts, given: given,
            warnings: variables.warnings)
    }

    private func assign(
        _ written: [String], _ memory: Recall.Memory?, of command: Command, _ given: inout [String: String]
    ) throws(UsageError) -> [String: any Sendable] {
        var values: [String: any Sendable] = [:]
        var remaining = written[...]
        for positional in command.positionals {
            var own = Array(remaining.prefix(positional.count.upperBound))
            remaining = remaining.dropFirst(own.count)
            if own.isEmpty { own = memory.occurrences(of: positional.name).map(\.text) }
            do throws(UsageError) {
                values[positional.name] = try positional.evaluate(own)
            } catch {
                throw memory.explaining(error, isMissing: own.isEmpty)
            }
            given[positional.name] = own.last
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

extension Recall.Memory? {
    /// What it holds for an option or positional: one value or none.
    fileprivate func occurrences(of name: String) -> [Occurrence] {
        guard case .values(let values, let file) = self, let text = values[name] else { return [] }
        let written = name.contains { $0.isLowercase } ? "--\(name)" : name
        return [Occurrence(text: text, source: .memory(option: written, file: file))]
    }

    /// An error, with the reason why nothing was found to stand for what is missing.
    fileprivate func explaining(_ error: UsageError, isMissing: Bool) -> UsageError {
        guard case .nothing(let reason) = self, isMissing else { return error }
        var error = error
        error.problem += ", and \(reason)"
        return error
    }
}
