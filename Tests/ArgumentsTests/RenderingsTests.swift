import Testing

@testable import Arguments
@testable import CommandLineInterface

@Suite("Completion and manual page, from the commands' descriptions")
struct RenderingsTests {
    /// As long as it is a program, nothing of it is missing from any of its renderings.
    private static let programs = [Sample.program, HeadwaterProgram.program]

    @Test(
        "Every command, option, way to write one, and choice is in every shell's script",
        arguments: ShellCompletion.Shell.allCases)
    func everythingIsCompleted(shell: ShellCompletion.Shell) {
        for program in Self.programs {
            let script = ShellCompletion(of: program).script(for: shell)
            for command in program.commands {
                var expected = [command.lastWord]
                for option in command.options {
                    let isFish = shell == .fish
                    expected.append(isFish ? "-l \(option.name)" : "--\(option.name)")
                    if option.isFlag { expected.append(isFish ? "-l no-\(option.name)" : "--no-\(option.name)") }
                    if let short = option.short { expected.append(isFish ? "-s \(short)" : "-\(short)") }
                    let choices = option.isFlag ? [] : option.completion.words
                    if !choices.isEmpty { expected.append(choices.joined(separator: " ")) }
                }
                let missing = expected.filter { !script.contains($0) }
                #expect(missing.isEmpty, "\(command.name)")
            }
        }
    }

    @Test("The manual page has what the help has: every option with its help, default and variable, every exit status")
    func manual() {
        for program in Self.programs {
            let page = ManualPage(of: program).text
            let escapes = ["\\-": "-", "\\(aq": "'", "\\(ti": "~", "\\(ga": "`", "\\&": ""]
            let words = escapes.reduce(page) { $0.replacing($1.key, with: $1.value) }
            var expected = program.exitStatuses.map { "\\fB\($0.code)\\fR\n\($0.meaning)" }
            for command in program.commands {
                expected.append(".SH \(command.name.uppercased())\n")
                for option in command.options {
                    expected.append(option.isFlag ? "--[no-]\(option.name)" : "--\(option.name)")
                    let details = option.details(prefix: program.environmentPrefix)
                    expected.append("\(option.help) [\(details)]")
                }
                expected += command.positionals.map(\.help) + command.examples.map { "$ \($0.value)" }
            }
            let missing = expected.filter { !words.contains($0) }
            #expect(missing.isEmpty)
        }
    }

    @Test("zsh offers a repeated option again, and any other once")
    func repeatedOption() {
        let zsh = ShellCompletion(of: Sample.program).zsh
        #expect(zsh.contains("'*--tag=[Tags") && zsh.contains("'(--scale)--scale=["))
    }

    @Test("What a shell or roff would take for its own is escaped")
    func escaping() {
        let option = Option(
            "odd", optional: .string("A:B"), help: "It's [one] of a\\b: .so `x`. More.")
        let program = Program(
            name: "my-tool", abstract: "it's odd", version: "1", environmentPrefix: "X_",
            commands: [Command(name: "run", abstract: "don't: stop", options: [OptionGroup("It's", [option])])])
        let completion = ShellCompletion(of: program)
        #expect(completion.zsh.contains(#"'(--odd)--odd=[It'\''s \[one\] of a\\b\: .so `x`]:A\:B:'"#))
        #expect(completion.zsh.contains(#"'run:don'\''t: stop'"#) && completion.zsh.contains("_my_tool() {"))
        #expect(completion.fish.contains(#"-l odd -x -d 'It\'s [one] of a\\b: .so `x`'"#))
        #expect(completion.bash.contains("complete -F _my_tool my-tool"))
        let page = ManualPage(of: program).text
        #expect(page.contains(#"It\(aqs [one] of a\eb: .so \(gax\(ga. More."#))
        #expect(page.contains("\\fBmy\\-tool run [OPTIONS]\\fR") && page.contains(".SS It\\(aqs"))
    }

    @Test("A line that begins like a request of roff is text, and lines of an example stand as they are")
    func roffText() {
        let program = Program(
            name: "t", abstract: "a", version: "1", environmentPrefix: "X_",
            commands: [Command(name: "run", abstract: "b", discussion: ".dot first\n\n  {\"a\": 1}\n\nlast")])
        #expect(
            ManualPage(of: program).text.contains(
                """
                .PP
                \\&.dot first
                .PP
                .RS 4
                .nf
                {"a": 1}
                .fi
                .RE
                .PP
                last
                """))
    }
}
