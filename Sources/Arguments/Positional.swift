/// An argument that is known by its place, whatever the type of its value.
public protocol CommandPositional: Sendable {
    /// What the parser, the help and other renderings need to know of it.
    var specification: PositionalSpecification { get }
}

/// An argument that is known by its place; the parsed arguments give its value under it as a key.
public struct Positional<Value: Sendable>: CommandPositional {
    /// What the renderings need to know of it.
    public let specification: PositionalSpecification

    /// One argument that must be given. `name` stands for it in help, in capitals.
    public init(_ name: String, _ syntax: ValueSyntax<Value>, help: String) {
        specification = PositionalSpecification(name: name, help: help, count: 1...1, syntax) {
            texts throws(UsageError) in
            guard let text = texts.first else { throw Self.missing(name, syntax.rule) }
            return Parsed(value: try syntax.value(of: text, at: name))
        }
    }

    /// One argument that may be left out.
    public init<Given: Sendable>(_ name: String, optional syntax: ValueSyntax<Given>, help: String)
    where Value == Given? {
        specification = PositionalSpecification(name: name, help: help, count: 0...1, syntax) {
            texts throws(UsageError) in
            guard let text = texts.first else { return Parsed<Given?>(value: nil) }
            return Parsed<Given?>(value: try syntax.value(of: text, at: name))
        }
    }

    /// All the arguments from here on, at least `minimum`.
    public init<Element: Sendable>(
        _ name: String, repeated syntax: ValueSyntax<Element>, minimum: Int = 1, help: String
    ) where Value == [Element] {
        specification = PositionalSpecification(name: name, help: help, count: minimum ... .max, syntax) {
            texts throws(UsageError) in
            guard texts.count >= minimum else { throw Self.missing(name, syntax.rule) }
            var elements: [Element] = []
            for text in texts { elements.append(try syntax.value(of: text, at: name)) }
            return Parsed(value: elements)
        }
    }

    private static func missing(_ name: String, _ rule: String) -> UsageError {
        UsageError("is missing", at: name, remedy: "give \(rule)")
    }
}

/// A positional argument without its type of value.
public struct PositionalSpecification: Sendable {
    /// What stands for it in help, in capitals.
    public let name: String
    /// Sentences.
    public let help: String
    /// How many arguments it takes.
    public let count: ClosedRange<Int>
    /// How a shell completes it.
    public let completion: Completion
    /// Turns its arguments, in order, into a ``Parsed`` value.
    let evaluate: @Sendable ([String]) throws(UsageError) -> any Sendable

    fileprivate init<Written>(
        name: String, help: String, count: ClosedRange<Int>, _ syntax: ValueSyntax<Written>,
        evaluate: @escaping @Sendable ([String]) throws(UsageError) -> any Sendable
    ) {
        self.name = name
        self.help = help
        self.count = count
        completion = syntax.completion
        self.evaluate = evaluate
    }

    /// As it stands in a usage line.
    public var usage: String {
        let name = count.upperBound > 1 ? name + "..." : name
        return count.lowerBound > 0 ? name : "[\(name)]"
    }
}
