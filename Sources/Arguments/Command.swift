/// A subcommand described by one value, from which come its parsing, its help and its environment variables: every option
/// can also be set by a variable.
package struct Command: Sendable {
    /// What is typed for it.
    package let name: String
    /// One line, without a full stop.
    package let abstract: String
    /// Paragraphs with an empty line between them; a line that begins with a space is shown as it stands.
    package let discussion: String
    /// Its options under their headings, in the order of the help.
    let optionGroups: [OptionGroup]
    /// Its arguments without a name, in their order.
    package let positionals: [PositionalSpecification]
    /// What to type, for the help: what each line does, as a heading that ends in a colon or question mark, and the whole line.
    package let examples: KeyValuePairs<String, String>
    /// Further variables that the command reads, the program's prefix included, and sentences on them.
    package let variables: KeyValuePairs<String, String>
    /// How options that aren't given are found in what an earlier run left; nil if they never are.
    package let recall: Recall?

    package init(
        name: String, abstract: String, discussion: String = "", options: [OptionGroup] = [],
        positionals: [any CommandPositional] = [], examples: KeyValuePairs<String, String> = [:],
        variables: KeyValuePairs<String, String> = [:], recall: Recall? = nil
    ) {
        self.name = name
        self.abstract = abstract
        self.discussion = discussion
        optionGroups = OptionGroup.merged(options)
        self.positionals = positionals.map(\.specification)
        self.examples = examples
        self.variables = variables
        self.recall = recall
    }

    /// Its options, in the order of the help.
    package var options: [OptionSpecification] { optionGroups.flatMap(\.options) }

    /// What follows the program's name.
    package var usage: String { ([name, "[OPTIONS]"] + positionals.map(\.usage)).joined(separator: " ") }

    /// How its options' variables are written.
    static let environmentRule =
        "The variable of each option is listed with it. \(Program.precedence) The variable of a switch is true or false."

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
package struct Recall: Sendable {
    package enum Memory: Sendable {
        /// Values by the names of options, without hyphens, and of positionals, and the file that they were in.
        case values([String: String], file: String)
        /// Nothing, and why.
        case nothing(String)
    }

    let memory: @Sendable (_ written: (String) -> String?) -> Memory?

    /// - Parameter memory: finds them, if they are wanted; otherwise nil. It gets the text that is written for an option, by the
    ///   option's name without hyphens, or nil.
    package init(memory: @escaping @Sendable (_ written: (String) -> String?) -> Memory?) { self.memory = memory }
}

/// What a command was given.
package struct ParsedArguments: Sendable {
    /// Asking for an option or positional that the command doesn't declare: a fault of the program.
    package struct Undeclared: Error, Equatable {
        /// As it would be written.
        package let name: String
    }

    /// What the user should know although the command can be carried out.
    package let warnings: [String]
    /// The options that have a value, by their names without hyphens, as they would be written.
    package internal(set) var texts: [String: String] = [:]
    /// The text of what was given, by the names of options, without hyphens, and of positionals; the last of several.
    package internal(set) var given: [String: String] = [:]
    /// A ``Parsed`` value for every option and positional of the command, by the same names.
    var values: [String: any Sendable] = [:]
    /// Where options were written, by the same names.
    var sources: [String: ValueSource] = [:]

    /// The option's value, its default included.
    package subscript<Value>(option: Option<Value>) -> Value {
        get throws(Undeclared) { try value(named: option.specification.name, written: "--") }
    }

    package subscript<Value>(positional: Positional<Value>) -> Value {
        get throws(Undeclared) { try value(named: positional.specification.name) }
    }

    private func value<Value: Sendable>(named name: String, written hyphens: String = "") throws(Undeclared) -> Value {
        guard let parsed = values[name] as? Parsed<Value> else { throw Undeclared(name: hyphens + name) }
        return parsed.value
    }

    /// The option's value as it would be written; nil if it has none.
    package func text(of option: any CommandOption) -> String? { texts[option.specification.name] }

    /// Where the option's value was written: the flag or the variable; nil if it is the default.
    package func source(of option: any CommandOption) -> ValueSource? { sources[option.specification.name] }

    /// Refuses options that were given although they would change nothing: silence would let them be believed in.
    ///
    /// - Throws: `UsageError` with this problem and remedy, at the first of them that was given.
    package func refuse(_ options: [any CommandOption], _ problem: String, remedy: String) throws(UsageError) {
        for option in options {
            guard let source = source(of: option) else { continue }
            throw UsageError(problem, at: source.name, remedy: remedy)
        }
    }

    /// Refuses the option's value where a condition isn't met.
    ///
    /// - Throws: `UsageError` with this problem and remedy.
    package func require(
        _ condition: Bool, of option: any CommandOption, _ problem: @autoclosure () -> String,
        remedy: @autoclosure () -> String
    ) throws(UsageError) {
        guard condition else { throw UsageError(problem(), at: place(of: option), remedy: remedy()) }
    }

    /// Where to change the option's value, for a ``UsageError``: the flag or the variable that gave it, the flag if none.
    package func place(of option: any CommandOption) -> String {
        source(of: option)?.name ?? "--\(option.specification.name)"
    }
}
