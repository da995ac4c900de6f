import UntrustedText

/// Sorts a command's arguments into options and positionals, without looking at the values.
struct ArgumentScanner {
    /// Per option name, what was written for it last; of a repeated option, all that was written, with commas between.
    private(set) var options: [String: Occurrence] = [:]
    /// The rest, in order.
    private(set) var positionals: [String] = []

    private let command: Command
    private var remaining: ArraySlice<String>

    /// Scans all arguments; `--` ends the options, `-` alone is a positional.
    init(_ arguments: ArraySlice<String>, of command: Command) throws(UsageError) {
        self.command = command
        remaining = arguments
        while let argument = remaining.popFirst() {
            if argument == "--" {
                positionals += remaining
                return
            } else if argument.hasPrefix("--") {
                try scanLong(argument)
            } else if argument.hasPrefix("-"), argument != "-" {
                try scanShort(argument)
            } else {
                positionals.append(argument)
            }
        }
    }

    private mutating func scanLong(_ argument: String) throws(UsageError) {
        let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        let value = parts.count > 1 ? String(parts[1]) : nil
        if let option = command.options.first(where: { $0.name == name }) {
            try add(option, written: "--\(name)", value)
        } else if name.hasPrefix("no-"),
            let flag = command.options.first(where: { $0.isFlag && $0.name == name.dropFirst(3) })
        {
            try add(flag, written: "--\(name)", value, negated: true)
        } else {
            throw unknown("--\(name)")
        }
    }

    /// `-o VALUE`, `-oVALUE`, `-o=VALUE` or, for a switch, `-q`; switches aren't bundled.
    private mutating func scanShort(_ argument: String) throws(UsageError) {
        let letter = argument.dropFirst().first
        let attached = String(argument.dropFirst(2))
        guard let option = command.options.first(where: { $0.short != nil && $0.short == letter }) else {
            throw unknown(argument)
        }
        if option.isFlag, !attached.isEmpty { throw unknown(argument) }
        let value = attached.hasPrefix("=") ? String(attached.dropFirst()) : attached
        try add(option, written: String(argument.prefix(2)), attached.isEmpty ? nil : value)
    }

    private mutating func add(
        _ option: OptionSpecification, written: String, _ value: String?, negated: Bool = false
    ) throws(UsageError) {
        var text = value
        if option.isFlag {
            guard value == nil else {
                throw UsageError("takes no value", at: written, remedy: "give --\(option.name) or --no-\(option.name)")
            }
            text = negated ? "false" : "true"
        } else if text == nil, let next = remaining.first, !isOption(next) {
            text = remaining.removeFirst()
        }
        guard let text else {
            throw UsageError("needs a value", at: written, remedy: "give \(option.rule)")
        }
        let earlier = option.isRepeated ? options[option.name].map { $0.text + "," } : nil
        options[option.name] = Occurrence(text: (earlier ?? "") + text, source: .flag(written))
    }

    /// Whether an argument can't be the value of the option before it. A negative number can; another value that begins
    /// with a hyphen must be attached (`--name=-value`), so that a forgotten value doesn't swallow the next option.
    private func isOption(_ argument: String) -> Bool {
        argument.hasPrefix("-") && argument != "-" && Double(argument) == nil
    }

    private func unknown(_ written: String) -> UsageError {
        let names = command.options.flatMap { ["--\($0.name)"] + ($0.isFlag ? ["--no-\($0.name)"] : []) } + ["--help"]
        let nearest = Suggestion.nearest(to: written, among: names)
        return UsageError(
            "unknown option \(UsageError.quoted(written))",
            remedy: nearest.map { "did you mean \($0)?" } ?? "put -- before arguments that begin with a hyphen")
    }
}
