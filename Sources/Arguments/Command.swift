/// A subcommand described by one value, from which come its parsing, its help and its environment variables: every option
/// can also be set by a variable.
public struct Command: Sendable {
    /// Something to type, and what it does.
    public struct Example: Sendable {
        /// The whole line, the program's name included.
        public let line: String
        /// What it does, as a heading: ends in a colon or question mark.
        public let effect: String

        /// Describes an example.
        public init(line: String, effect: String) {
            self.line = line
            self.effect = effect
        }
    }

    /// A variable that the command reads and that isn't an option's.
    public struct Variable: Sendable {
        /// The variable's name, the program's prefix included.
        public let name: String
        /// Sentences.
        public let help: String

        /// Describes a variable.
        public init(name: String, help: String) {
            self.name = name
            self.help = help
        }
    }

    /// What is typed for it.
    public let name: String
    /// One line, without a full stop.
    public let abstract: String
    /// Paragraphs with an empty line between them; a line that begins with a space is shown as it stands.
    public var discussion = ""
    /// Its options, in the order of the help.
    public var options: [OptionSpecification] = []
    /// Its arguments without a name, in their order.
    public var positionals: [PositionalSpecification] = []
    /// What to type, for the help.
    public var examples: [Example] = []
    /// Further variables that the command reads, the prefix included.
    public var variables: [Variable] = []
    /// How options that aren't given are found in what an earlier run left; nil if they never are.
    public var recall: Recall?

    /// Describes a command.
    public init(
        name: String, abstract: String, discussion: String = "", options: [OptionSpecification] = [],
        positionals: [PositionalSpecification] = [], examples: [Example] = [], variables: [Variable] = [],
        recall: Recall? = nil
    ) {
        self.name = name
        self.abstract = abstract
        self.discussion = discussion
        self.options = options
        self.positionals = positionals
        self.examples = examples
        self.variables = variables
        self.recall = recall
    }

    /// What follows the program's name.
    public var usage: String { ([name, "[OPTIONS]"] + positionals.map(\.usage)).joined(separator: " ") }

    /// Its options under their headings, in the order in which these first appear.
    var optionGroups: [(name: String, options: [OptionSpecification])] {
        var names: [String] = []
        for option in options where !names.contains(option.group) { names.append(option.group) }
        return names.map { name in (name, options.filter { $0.group == name }) }
    }

    /// How its options' variables are written.
    static let environmentRule =
        "The variable of each option is listed with it. \(Program.precedence) The variable of a switch is true or false. "
        + "The variable of an option that may be repeated has values separated by commas."

    /// What is wrong with the description itself; empty in a correct program, which a test asserts.
    var descriptionFaults: [String] {
        var faults: [String] = []
        let names = options.map(\.name) + options.filter(\.isFlag).map { "no-\($0.name)" } + ["help"]
        faults += repeated(names).map { "\(name): --\($0) means two things" }
        faults += repeated(options.compactMap(\.short) + ["h"]).map { "\(name): -\($0) means two things" }
        faults += repeated(positionals.map(\.name)).map { "\(name): \($0) means two things" }
        for option in options where option.help.isEmpty { faults.append("\(name): --\(option.name) has no help") }
        for (earlier, later) in zip(positionals, positionals.dropFirst()) {
            if earlier.count.upperBound > 1 { faults.append("\(name): nothing can follow \(earlier.name)") }
            if earlier.count.lowerBound == 0, later.count.lowerBound > 0 {
                faults.append("\(name): \(later.name) must be given, so \(earlier.name) before it must be too")
            }
        }
        return faults
    }

    private func repeated<Name: Hashable>(_ names: [Name]) -> [Name] {
        var seen: Set<Name> = []
        return names.filter { !seen.insert($0).inserted }
    }
}

/// The options that an earlier run of a command was given, for one that goes on with its work.
public struct Recall: Sendable {
    /// What was found.
    public enum Memory: Sendable {
        /// Values by the names of options, without hyphens, and of positionals, and the file that they were in.
        case values([String: String], file: String)
        /// Nothing, and why.
        case nothing(String)
    }

    let memory: @Sendable (_ written: (String) -> String?) -> Memory?

    /// - Parameter memory: finds them, if they are wanted; otherwise nil. It gets the text that is written for an option, by the
    ///   option's name without hyphens, or nil.
    public init(memory: @escaping @Sendable (_ written: (String) -> String?) -> Memory?) { self.memory = memory }
}

/// What a command was given.
public struct ParsedArguments: Sendable {
    /// Asking for an option or positional that the command doesn't declare: a fault of the program.
    public struct Undeclared: Error, Equatable {
        /// As it would be written.
        public let name: String
    }

    /// What the user should know although the command can be carried out.
    public let warnings: [String]
    /// The options that have a value, in the order of the command's, as they would be written.
    public let texts: [(name: String, text: String)]
    /// The text of what was given, by the names of options, without hyphens, and of positionals; the last of several.
    public let given: [String: String]
    private let options: [String: any Sendable]
    private let sources: [String: ValueSource]
    private let positionals: [String: any Sendable]

    init(
        options: [String: any Sendable], sources: [String: ValueSource], positionals: [String: any Sendable],
        texts: [(name: String, text: String)], given: [String: String], warnings: [String]
    ) {
        self.texts = texts
        self.given = given
        self.options = options
        self.sources = sources
        self.positionals = positionals
        self.warnings = warnings
    }

    /// The option's value, its default included.
    public subscript<Value>(option: Option<Value>) -> Value {
        get throws(Undeclared) {
            let name = option.specification.name
            guard let parsed = options[name] as? Parsed<Value> else { throw Undeclared(name: "--\(name)") }
            return parsed.value
        }
    }

    /// The positional's value.
    public subscript<Value>(positional: Positional<Value>) -> Value {
        get throws(Undeclared) {
            let name = positional.specification.name
            guard let parsed = positionals[name] as? Parsed<Value> else { throw Undeclared(name: name) }
            return parsed.value
        }
    }

    /// The option's value as it would be written; nil if it has none.
    public func text<Value>(of option: Option<Value>) -> String? {
        texts.first { $0.name == option.specification.name }?.text
    }

    /// Where the option's value was written: the flag or the variable; nil if it is the default.
    public func source<Value>(of option: Option<Value>) -> ValueSource? {
        source(ofOptionNamed: option.specification.name)
    }

    /// As `source(of:)`, by the option's name without hyphens.
    public func source(ofOptionNamed name: String) -> ValueSource? { sources[name] }

    /// Refuses options that were given although they would change nothing: silence would let them be believed in.
    ///
    /// - Throws: `UsageError` with this problem and remedy, at the first of them that was given.
    public func refuse(_ options: [OptionSpecification], _ problem: String, remedy: String) throws(UsageError) {
        for option in options {
            guard let source = source(ofOptionNamed: option.name) else { continue }
            throw UsageError(problem, at: source.name, remedy: remedy)
        }
    }

    /// Where to change the option's value, for a ``UsageError``: the flag or the variable that gave it, the flag if none.
    public func place<Value>(of option: Option<Value>) -> String {
        source(of: option)?.name ?? "--\(option.specification.name)"
    }
}
