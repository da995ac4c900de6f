/// Renders descriptions as a manual page, in the macros of man(7).
package struct ManualPage {
    private let program: Program

    package init(of program: Program) { self.program = program }

    /// The page. It has no date, so that the same program writes the same page.
    package var text: String {
        var lines = [
            ".\\\" Made by '\(program.name) manual'.",
            ".TH \(program.name.uppercased()) 1 \"\" \"\(program.name) \(program.version)\" \"User Commands\"",
            // Neither hyphens nor wide blanks in what may be copied to a command line.
            ".nh", ".ad l", ".SH NAME", "\(Self.escaped(program.name)) \\- \(Self.escaped(program.abstract))",
            ".SH SYNOPSIS", ".B \(Self.escaped(program.name))", ".I COMMAND", "[\\fIOPTIONS\\fR]",
            ".SH DESCRIPTION", "The commands are:",
        ]
        for command in program.commands { lines += Self.item(bold(command.name), command.abstract) }
        lines += [".PP", "Options without a command:"]
        lines += Self.item("\(bold("-h")), \(bold("--help"))", "Show the commands; after a command, its help.")
        lines += Self.item(bold("--version"), "Show the version.")
        for command in program.commands { lines += section(of: command) }
        lines.append(".SH ENVIRONMENT")
        lines += Self.paragraphs(program.environmentRule + " " + Command.environmentRule)
        lines.append(".SH EXIT STATUS")
        for status in program.exitStatuses { lines += Self.item(bold("\(status.code)"), status.meaning) }
        return lines.joined(separator: "\n") + "\n"
    }

    private func section(of command: Command) -> [String] {
        var lines = [".SH \(Self.escaped(command.name.uppercased()))"]
        lines += ["\(bold("\(program.name) \(command.usage)"))", ".PP"]
        lines += Self.paragraphs(Self.sentence(command.abstract))
        if !command.discussion.isEmpty { lines += [".PP"] + Self.paragraphs(command.discussion) }
        for positional in command.positionals { lines += Self.item(italic(positional.usage), positional.help) }
        for group in command.optionGroups {
            lines.append(".SS \(Self.escaped(group.name))")
            for option in group.options {
                let details = option.details(prefix: program.environmentPrefix)
                lines += Self.item(term(of: option), "\(option.help) [\(details)]")
            }
        }
        if !command.variables.isEmpty { lines.append(".SS Environment") }
        for (name, help) in command.variables { lines += Self.item(bold(name), help) }
        if !command.examples.isEmpty { lines.append(".SS Examples") }
        for (effect, line) in command.examples {
            lines += Self.paragraphs(effect) + Self.verbatim(["$ \(line)"]) + [".PP"]
        }
        if lines.last == ".PP" { lines.removeLast() }
        return lines
    }

    private func term(of option: OptionSpecification) -> String {
        let short = option.short.map { "\(bold("-\($0)")), " } ?? ""
        return option.isFlag
            ? short + bold(option.usage) : "\(short)\(bold("--\(option.name)")) \(italic(option.placeholder))"
    }

    private func bold(_ text: String) -> String { "\\fB\(Self.escaped(text))\\fR" }
    private func italic(_ text: String) -> String { "\\fI\(Self.escaped(text))\\fR" }

    private static func sentence(_ abstract: String) -> String {
        abstract.prefix(1).uppercased() + abstract.dropFirst() + "."
    }

    /// A term with its description to the right of it or below it.
    private static func item(_ term: String, _ description: String) -> [String] {
        [".TP", term] + paragraphs(description)
    }

    /// Paragraphs with an empty line between them, as a command's discussion has them; a line that begins with a space
    /// is shown as it stands.
    private static func paragraphs(_ text: String) -> [String] {
        var lines: [String] = []
        var shown: [String] = []
        func finish() -> [String] {
            defer { shown = [] }
            return shown.isEmpty ? [] : verbatim(shown)
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix(" ") {
                shown.append(String(line.drop { $0 == " " }))
                continue
            }
            lines += finish()
            if !line.isEmpty { lines.append(escaped(String(line))) } else if lines.last != ".PP" { lines.append(".PP") }
        }
        lines += finish()
        return lines
    }

    private static func verbatim(_ lines: [String]) -> [String] {
        [".RS 4", ".nf"] + lines.map(escaped) + [".fi", ".RE"]
    }

    /// Text without anything that roff takes for its own.
    private static func escaped(_ text: String) -> String {
        var escaped = text.hasPrefix(".") || text.hasPrefix("'") ? "\\&" : ""
        for character in text {
            switch character {
            case "\\": escaped += "\\e"
            case "-": escaped += "\\-"
            case "'": escaped += "\\(aq"
            case "`": escaped += "\\(ga"
            case "^": escaped += "\\(ha"
            case "~": escaped += "\\(ti"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
