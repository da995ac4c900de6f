/// Where a value was written.
public enum ValueSource: Sendable, Equatable {
    case flag(String)
    case variable(String)
    case positional(String)
    /// What an earlier run was given and remembered in a file.
    case memory(option: String, file: String)

    /// As the user wrote it.
    public var name: String {
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

/// An option of a command, `--name VALUE`; the parsed arguments give its value under it as a key.
///
/// Of several occurrences of an option that isn't repeated the last counts, so that a script can put its caller's
/// arguments after its own.
public struct Option<Value: Sendable>: Sendable {
    /// What the parser, the help and other renderings need to know, whatever the type of value.
    public let specification: OptionSpecification

    /// An option that always has a value.
    ///
    /// - Parameters:
    ///   - name: without hyphens, such as `drain-timeout`.
    ///   - help: sentences.
    ///   - group: the heading in the help under which it stands.
    public init(
        _ name: String, short: Character? = nil, _ syntax: ValueSyntax<Value>, default value: Value, help: String,
        group: String = OptionSpecification.mainGroup
    ) {
        specification = OptionSpecification(
            name: name, short: short, help: help, group: group, defaultText: syntax.format(value), syntax
        ) { occurrences throws(UsageError) in
            guard let last = occurrences.last else { return Parsed(value: value) }
            return Parsed(value: try syntax.value(of: last.text, at: last.source.name))
        }
    }

    /// An option that must be given.
    public init(
        _ name: String, short: Character? = nil, required syntax: ValueSyntax<Value>, help: String,
        group: String = OptionSpecification.mainGroup
    ) {
        specification = OptionSpecification(
            name: name, short: short, help: help, group: group, isRequired: true, syntax
        ) { occurrences throws(UsageError) in
            guard let last = occurrences.last else {
                throw UsageError("is missing", at: "--\(name)", remedy: "give \(syntax.rule)")
            }
            return Parsed(value: try syntax.value(of: last.text, at: last.source.name))
        }
    }

    /// An option that has no value unless it is given.
    public init<Given: Sendable>(
        _ name: String, short: Character? = nil, optional syntax: ValueSyntax<Given>, help: String,
        group: String = OptionSpecification.mainGroup
    ) where Value == Given? {
        specification = OptionSpecification(
            name: name, short: short, help: help, group: group, syntax
        ) { occurrences throws(UsageError) in
            guard let last = occurrences.last else { return Parsed<Given?>(value: nil) }
            return Parsed<Given?>(value: try syntax.value(of: last.text, at: last.source.name))
        }
    }

    /// An option that may be given many times; its variable holds the values with commas between them.
    public init<Element: Sendable>(
        _ name: String, short: Character? = nil, repeated syntax: ValueSyntax<Element>, help: String,
        group: String = OptionSpecification.mainGroup
    ) where Value == [Element] {
        specification = OptionSpecification(
            name: name, short: short, help: help, group: group, isRepeated: true, syntax
        ) { occurrences throws(UsageError) in
            var elements: [Element] = []
            for occurrence in occurrences {
                elements.append(try syntax.value(of: occurrence.text, at: occurrence.source.name))
            }
            return Parsed(value: elements)
        }
    }

    /// A switch: `--name` turns it on and `--no-name` off.
    public init(
        flag name: String, short: Character? = nil, default value: Bool = false, help: String,
        group: String = OptionSpecification.mainGroup
    ) where Value == Bool {
        specification = OptionSpecification(
            name: name, short: short, help: help, group: group, isFlag: true, defaultText: value ? "on" : "off",
            ValueSyntax<Bool>.boolean
        ) { occurrences throws(UsageError) in
            guard let last = occurrences.last else { return Parsed(value: value) }
            return Parsed(value: try ValueSyntax.boolean.value(of: last.text, at: last.source.name))
        }
    }

    /// A switch that means a third thing if it isn't given.
    public init(
        optionalFlag name: String, help: String, group: String = OptionSpecification.mainGroup
    ) where Value == Bool? {
        specification = OptionSpecification(
            name: name, short: nil, help: help, group: group, isFlag: true, ValueSyntax<Bool>.boolean
        ) { occurrences throws(UsageError) in
            guard let last = occurrences.last else { return Parsed<Bool?>(value: nil) }
            return Parsed<Bool?>(value: try ValueSyntax.boolean.value(of: last.text, at: last.source.name))
        }
    }
}

/// A typed value on its way through code that doesn't know its type. Boxed, because an optional cast out of an
/// existential is flattened.
struct Parsed<Value: Sendable>: Sendable {
    let value: Value
}

/// An option without its type of value.
public struct OptionSpecification: Sendable {
    /// The heading of options that name no group.
    public static let mainGroup = "Options"

    /// Without hyphens, such as `drain-timeout`.
    public let name: String
    /// The letter of its short form, without the hyphen; nil if it has none.
    public let short: Character?
    /// Sentences.
    public let help: String
    /// The heading in the help under which it stands.
    public let group: String
    /// Whether it is a switch, which takes no value.
    public let isFlag: Bool
    /// Whether it must be given.
    public let isRequired: Bool
    /// Whether it may be given many times.
    public let isRepeated: Bool
    /// The default as it would be written, if there is one.
    public let defaultText: String?
    /// What stands for its value in help, in capitals.
    public let placeholder: String
    /// What is accepted, as it goes after "give".
    public let rule: String
    /// How a shell completes its value.
    public let completion: Completion
    /// Turns all that was written, in order, into a ``Parsed`` value.
    let evaluate: @Sendable ([Occurrence]) throws(UsageError) -> any Sendable

    fileprivate init<Written>(
        name: String, short: Character?, help: String, group: String, isFlag: Bool = false, isRequired: Bool = false,
        isRepeated: Bool = false, defaultText: String? = nil, _ syntax: ValueSyntax<Written>,
        evaluate: @escaping @Sendable ([Occurrence]) throws(UsageError) -> any Sendable
    ) {
        self.name = name
        self.short = short
        self.help = help
        self.group = group
        self.isFlag = isFlag
        self.isRequired = isRequired
        self.isRepeated = isRepeated
        self.defaultText = defaultText
        placeholder = syntax.placeholder
        rule = syntax.rule
        completion = syntax.completion
        self.evaluate = evaluate
    }

    /// The variable that sets it, under a prefix such as `HEADWATER_`.
    func variable(prefix: String) -> String {
        prefix + String(name.map { $0 == "-" ? "_" : Character($0.uppercased()) })
    }

    /// The value that these occurrences come to, as it would be written; nil if there is none.
    func text(of occurrences: [Occurrence]) -> String? {
        guard let last = occurrences.last else { return defaultText }
        if isRepeated { return occurrences.map(\.text).joined(separator: ",") }
        guard isFlag, let isOn = try? ValueSyntax.boolean.value(of: last.text, at: name) else { return last.text }
        return isOn ? "on" : "off"
    }

    /// As it stands in help: `--port PORT`, or `--[no-]warm-up` of a switch.
    public var usage: String { isFlag ? "--[no-]\(name)" : "--\(name) \(placeholder)" }

    /// What stands in brackets after its help: choices, whether it must or may be repeated, default and variable.
    func details(prefix: String) -> [String] {
        var details: [String] = []
        if !isFlag, !completion.words.isEmpty { details.append("one of \(completion.words.joined(separator: ", "))") }
        if isRequired { details.append("required") }
        if isRepeated { details.append("may be repeated") }
        if let defaultText { details.append("default \(defaultText)") }
        return details + [variable(prefix: prefix)]
    }
}
