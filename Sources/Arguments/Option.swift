/// Where a value was written.
package enum ValueSource: Sendable, Equatable {
    case flag(String)
    case variable(String)
    case positional(String)
    /// What an earlier run was given and remembered in a file.
    case memory(option: String, file: String)

    /// As the user wrote it.
    package var name: String {
        switch self {
        case .flag(let name), .variable(let name), .positional(let name): name
        case .memory(let option, let file): "\(option) (from \(file))"
        }
    }
}

/// A value as written, and where.
struct Occurrence: Sendable, Equatable {
    let text: String
    let source: ValueSource
}

/// An option, whatever the type of its value.
package protocol CommandOption: Sendable {
    /// What the parser, the help and other renderings need to know of it.
    var specification: OptionSpecification { get }
}

/// An option of a command, `--name VALUE`; the parsed arguments give its value under it as a key.
///
/// Of several occurrences the last counts, so that a script can put its caller's arguments after its own. Those of a repeated
/// option all count.
package struct Option<Value: Sendable>: CommandOption {
    /// What the renderings need to know of it.
    package let specification: OptionSpecification

    /// An option that always has a value.
    ///
    /// - Parameters:
    ///   - name: without hyphens, such as `drain-timeout`.
    ///   - help: sentences.
    package init(
        _ name: String, short: Character? = nil, _ syntax: ValueSyntax<Value>, default value: Value, help: String
    ) {
        specification = OptionSpecification(name, short, help, syntax, defaultText: syntax.format(value)) {
            $0 ?? value
        }
    }

    /// An option that must be given.
    package init(_ name: String, short: Character? = nil, required syntax: ValueSyntax<Value>, help: String) {
        specification = OptionSpecification(name, short, help, syntax, isRequired: true) {
            given throws(UsageError) in
            guard let given else { throw UsageError("is missing", at: "--\(name)", remedy: "give \(syntax.rule)") }
            return given
        }
    }

    /// An option that has no value unless it is given.
    package init<Given: Sendable>(
        _ name: String, short: Character? = nil, optional syntax: ValueSyntax<Given>, help: String
    ) where Value == Given? {
        specification = OptionSpecification(name, short, help, syntax) { $0 }
    }

    /// An option that may be given several times, or once with commas between its values. Without values it is empty.
    package init<Element: Sendable>(_ name: String, repeated syntax: ValueSyntax<Element>, help: String)
    where Value == [Element] {
        specification = OptionSpecification(name, nil, help, .list(of: syntax), isRepeated: true) { $0 ?? [] }
    }

    /// A switch: `--name` turns it on and `--no-name` off.
    package init(flag name: String, short: Character? = nil, default value: Bool = false, help: String)
    where Value == Bool {
        specification = OptionSpecification(
            name, short, help, .boolean, isFlag: true, defaultText: value ? "on" : "off"
        ) { $0 ?? value }
    }

    /// A switch that means a third thing if it isn't given.
    package init(optionalFlag name: String, help: String) where Value == Bool? {
        specification = OptionSpecification(name, nil, help, ValueSyntax<Bool>.boolean, isFlag: true) { $0 }
    }
}

/// Options under one heading of the help. Written as an array, they are under the heading of a command's main options.
package struct OptionGroup: Sendable, ExpressibleByArrayLiteral {
    /// The heading of a command's main options.
    package static let mainName = "Options"

    package let name: String
    package private(set) var options: [OptionSpecification]

    package init(_ name: String, _ options: [any CommandOption]) {
        self.name = name
        self.options = options.map(\.specification)
    }

    /// Main options.
    package init(arrayLiteral options: any CommandOption...) { self.init(Self.mainName, options) }

    /// One group for each heading, in the order in which these first appear.
    static func merged(_ groups: [OptionGroup]) -> [OptionGroup] {
        groups.reduce(into: []) { merged, group in
            if let index = merged.firstIndex(where: { $0.name == group.name }) {
                merged[index].options += group.options
            } else {
                merged.append(group)
            }
        }
    }
}

/// A typed value on its way through code that doesn't know its type. Boxed, because an optional cast out of an
/// existential is flattened.
struct Parsed<Value: Sendable>: Sendable {
    let value: Value
}

/// An option without its type of value.
package struct OptionSpecification: Sendable {
    /// Without hyphens, such as `drain-timeout`.
    package let name: String
    /// The letter of its short form, without the hyphen; nil if it has none.
    package let short: Character?
    package let help: String
    package let isFlag: Bool
    package let isRequired: Bool
    /// Whether all its occurrences count; they are then one, with commas between them.
    package let isRepeated: Bool
    /// The default as it would be written, if there is one.
    package let defaultText: String?
    /// What stands for its value in help, in capitals.
    package let placeholder: String
    /// What is accepted, as it goes after "give".
    package let rule: String
    /// How a shell completes its value.
    package let completion: Completion
    /// Turns what was written last, if anything was, into a ``Parsed`` value.
    let evaluate: @Sendable (Occurrence?) throws(UsageError) -> any Sendable

    /// - Parameter value: the option's value from the one that was given, or from nil.
    fileprivate init<Given, Value: Sendable>(
        _ name: String, _ short: Character?, _ help: String, _ syntax: ValueSyntax<Given>, isFlag: Bool = false,
        isRequired: Bool = false, isRepeated: Bool = false, defaultText: String? = nil,
        value: @escaping @Sendable (Given?) throws(UsageError) -> Value
    ) {
        self.name = name
        self.short = short
        self.help = help
        self.isFlag = isFlag
        self.isRequired = isRequired
        self.isRepeated = isRepeated
        self.defaultText = defaultText
        placeholder = syntax.placeholder
        rule = syntax.rule
        completion = syntax.completion
        evaluate = { occurrence throws(UsageError) in
            guard let occurrence else { return Parsed(value: try value(nil)) }
            return Parsed(value: try value(try syntax.value(of: occurrence.text, at: occurrence.source.name)))
        }
    }

    /// The variable that sets it, under a prefix such as `HEADWATER_`.
    func variable(prefix: String) -> String {
        prefix + String(name.map { $0 == "-" ? "_" : Character($0.uppercased()) })
    }

    /// Its value as it would be written; nil if there is none.
    func text(of occurrence: Occurrence?) -> String? {
        guard let text = occurrence?.text else { return defaultText }
        guard isFlag, let isOn = ValueSyntax.boolean.parse(text) else { return text }
        return isOn ? "on" : "off"
    }

    /// As it stands in help: `--port PORT`, or `--[no-]warm-up` of a switch.
    package var usage: String { isFlag ? "--[no-]\(name)" : "--\(name) \(placeholder)" }

    /// Its short form, if it has one, and its name, with hyphens.
    var forms: [String] { (short.map { ["-\($0)"] } ?? []) + ["--\(name)"] }

    /// What stands in brackets after its help: choices, whether it is required, default and variable.
    func details(prefix: String) -> String {
        var details: [String] = []
        if !isFlag, !completion.words.isEmpty { details.append("one of \(completion.words.joined(separator: ", "))") }
        if isRequired { details.append("required") }
        if isRepeated { details.append("repeatable") }
        if let defaultText { details.append("default \(defaultText)") }
        return (details + [variable(prefix: prefix)]).joined(separator: "; ")
    }
}
