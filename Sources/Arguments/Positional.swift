/// An argument that is known by its place, whatever the type of its value.
package protocol CommandPositional: Sendable {
    /// What the parser, the help and other renderings need to know of it.
    var specification: PositionalSpecification { get }
}

/// An argument that is known by its place; the parsed arguments give its value under it as a key.
package struct Positional<Value: Sendable>: CommandPositional {
    /// What the renderings need to know of it.
    package let specification: PositionalSpecification

    /// One argument that must be given. `name` stands for it in help, in capitals.
    package init(_ name: String, _ syntax: ValueSyntax<Value>, help: String) {
        specification = PositionalSpecification(name, help, count: 1...1, syntax) { $0[0] }
    }

    /// One argument that may be left out.
    package init<Given: Sendable>(_ name: String, optional syntax: ValueSyntax<Given>, help: String)
    where Value == Given? {
        specification = PositionalSpecification(name, help, count: 0...1, syntax) { $0.first }
    }

    /// All the arguments from here on, at least `minimum`.
    package init<Element: Sendable>(
        _ name: String, repeated syntax: ValueSyntax<Element>, minimum: Int = 1, help: String
    ) where Value == [Element] {
        specification = PositionalSpecification(name, help, count: minimum ... .max, syntax) { $0 }
    }
}

/// A positional argument without its type of value.
package struct PositionalSpecification: Sendable {
    /// What stands for it in help, in capitals.
    package let name: String
    package let help: String
    package let count: ClosedRange<Int>
    package let completion: Completion
    /// Turns its arguments, in order, into a ``Parsed`` value.
    let evaluate: @Sendable ([String]) throws(UsageError) -> any Sendable

    /// - Parameter value: the positional's value from those that were given, as many as `count` says.
    fileprivate init<Given, Value: Sendable>(
        _ name: String, _ help: String, count: ClosedRange<Int>, _ syntax: ValueSyntax<Given>,
        value: @escaping @Sendable ([Given]) -> Value
    ) {
        self.name = name
        self.help = help
        self.count = count
        completion = syntax.completion
        evaluate = { texts throws(UsageError) in
            guard texts.count >= count.lowerBound else {
                throw UsageError("is missing", at: name, remedy: "give \(syntax.rule)")
            }
            var given: [Given] = []
            for text in texts { given.append(try syntax.value(of: text, at: name)) }
            return Parsed(value: value(given))
        }
    }

    package var usage: String {
        let name = count.upperBound > 1 ? name + "..." : name
        return count.lowerBound > 0 ? name : "[\(name)]"
    }
}
