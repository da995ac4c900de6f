import UntrustedText

/// How a value is written: read from text, written back (for help), described and completed.
package struct ValueSyntax<Value: Sendable>: Sendable {
    /// What stands for the value in help, in capitals.
    package let placeholder: String
    /// What is accepted, as it goes after "give": `a whole number from 1 to 64`.
    package let rule: String
    package var completion = Completion.none
    /// The value, or nil if the text doesn't follow the rule.
    package let parse: @Sendable (String) -> Value?
    /// The value as it would be written.
    package let format: @Sendable (Value) -> String

    package init(
        placeholder: String, rule: String, completion: Completion = .none,
        parse: @escaping @Sendable (String) -> Value?,
        format: @escaping @Sendable (Value) -> String
    ) {
        self.placeholder = placeholder
        self.rule = rule
        self.completion = completion
        self.parse = parse
        self.format = format
    }

    /// The value, or what is wrong with the text.
    package func value(of text: String, at source: String) throws(UsageError) -> Value {
        if let value = parse(text) { return value }
        var remedy = "give \(rule)"
        remedy += Suggestion.clause(Suggestion.nearest(to: text, among: completion.words))
        let problem = text.isEmpty ? "the value is empty" : "\(UsageError.quoted(text)) is not accepted"
        throw UsageError(problem, at: source, remedy: remedy)
    }
}

/// How a shell completes a value.
package enum Completion: Sendable, Equatable {
    case none
    case file
    case folder
    case choices([String])
    /// Choices with commas between them.
    case list([String])

    package var words: [String] {
        switch self {
        case .none, .file, .folder: []
        case .choices(let words), .list(let words): words
        }
    }
}

extension ValueSyntax where Value: LosslessStringConvertible {
    /// A value that is written as its description.
    package static func described(
        _ placeholder: String, as type: Value.Type = Value.self, rule: String, completion: Completion = .none
    ) -> ValueSyntax {
        ValueSyntax(
            placeholder: placeholder, rule: rule, completion: completion, parse: { Value($0) }, format: \.description)
    }
}

extension ValueSyntax where Value == String {
    /// Any text but none at all.
    package static func string(_ placeholder: String) -> ValueSyntax {
        ValueSyntax(placeholder: placeholder, rule: "some text", parse: { $0.isEmpty ? nil : $0 }, format: { $0 })
    }

    /// The path of a file; whether there is one is for its reader to find out.
    package static var file: ValueSyntax { path("FILE", rule: "the path of a file", .file) }

    /// The path of a folder.
    package static var folder: ValueSyntax { path("FOLDER", rule: "the path of a folder", .folder) }

    private static func path(_ placeholder: String, rule: String, _ completion: Completion) -> ValueSyntax {
        ValueSyntax(
            placeholder: placeholder, rule: rule, completion: completion,
            parse: { $0.isEmpty || $0.utf8.contains(0) ? nil : $0 }, format: { $0 })
    }
}

extension ValueSyntax where Value == Int {
    /// A whole number within `range`.
    package static func integer(_ placeholder: String = "N", in range: ClosedRange<Int> = .min ... .max) -> ValueSyntax
    {
        ValueSyntax(
            placeholder: placeholder, rule: "a whole number" + Self.bounds(of: range, format: { String($0) }),
            parse: { text in Int(text).flatMap { range.contains($0) ? $0 : nil } }, format: { String($0) })
    }

    /// The bounds worth stating: none where the type itself sets them.
    static func bounds(of range: ClosedRange<Int>, format: (Int) -> String) -> String {
        switch (range.lowerBound, range.upperBound) {
        case (.min, .max): ""
        case (let lower, .max): " of at least \(format(lower))"
        case (.min, let upper): " of at most \(format(upper))"
        case (let lower, let upper): " from \(format(lower)) to \(format(upper))"
        }
    }
}

extension ValueSyntax where Value == Double {
    /// A finite number within `range`.
    package static func number(_ placeholder: String = "X", in range: ClosedRange<Double>) -> ValueSyntax {
        ValueSyntax(
            placeholder: placeholder, rule: "a number from \(range.lowerBound) to \(range.upperBound)",
            parse: { text in Double(text).flatMap { $0.isFinite && range.contains($0) ? $0 : nil } },
            format: { $0.description })
    }
}

extension ValueSyntax where Value == Bool {
    /// Yes or no, as a flag's variable is written.
    package static var boolean: ValueSyntax {
        ValueSyntax(
            placeholder: "BOOL", rule: "true or false", completion: .choices(["true", "false"]),
            parse: { text in
                switch text.lowercased() {
                case "true", "1", "yes", "on": true
                case "false", "0", "no", "off": false
                default: nil
                }
            }, format: { String($0) })
    }
}

extension ValueSyntax where Value == UInt16 {
    /// A TCP port; 0 has the system choose a free one.
    package static var port: ValueSyntax {
        let digits = ValueSyntax<Int>.integer(in: 0...65535)
        return ValueSyntax(
            placeholder: "PORT", rule: "a port from 0 (any free one) to 65535",
            parse: { text in digits.parse(text).flatMap(UInt16.init(exactly:)) }, format: { String($0) })
    }
}

extension ValueSyntax where Value == Int {
    /// The permissions of a file, in octal digits.
    package static var permissions: ValueSyntax {
        ValueSyntax(
            placeholder: "MODE", rule: "permissions in octal digits, such as 660, at most 777",
            parse: { text in Int(text, radix: 8).flatMap { (0...0o777).contains($0) ? $0 : nil } },
            format: { String($0, radix: 8) })
    }
}

extension ValueSyntax where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
    /// One of an enumeration's cases, by raw value.
    package static func choice(_ placeholder: String, of type: Value.Type = Value.self) -> ValueSyntax {
        let names = type.allCases.map(\.rawValue)
        return ValueSyntax(
            placeholder: placeholder, rule: "one of \(names.joined(separator: ", "))", completion: .choices(names),
            parse: { Value(rawValue: $0) }, format: \.rawValue)
    }
}

extension ValueSyntax {
    /// One or more values with commas between them, such as `16,32`.
    package static func list<Element>(of element: ValueSyntax<Element>) -> ValueSyntax where Value == [Element] {
        ValueSyntax(
            placeholder: "\(element.placeholder),…", rule: "a list with commas, each \(element.rule)",
            completion: element.completion.words.isEmpty ? element.completion : .list(element.completion.words),
            parse: { text in
                var elements: [Element] = []
                for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                    guard let value = element.parse(String(part)) else { return nil }
                    elements.append(value)
                }
                return elements
            },
            format: { $0.map(element.format).joined(separator: ",") })
    }
}
