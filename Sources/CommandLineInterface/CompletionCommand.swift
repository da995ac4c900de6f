/// `headwater completion`: what makes a shell complete the program's command line.
enum CompletionCommand {
    private static let shell = Positional(
        "SHELL", .choice("SHELL", of: ShellCompletion.Shell.self), help: "The shell: bash, zsh or fish.")

    static let command = Command(
        name: "completion", abstract: "write a shell's completion of this command line",
        discussion: """
            Writes a script to standard output. bash reads it from the folder /etc/bash_completion.d or \
            ~/.local/share/bash-completion/completions, under the program's name; zsh from a folder of $fpath, such as \
            /usr/local/share/zsh/site-functions, under the name _headwater; fish from /etc/fish/completions or \
            ~/.config/fish/completions, under the program's name and .fish. Every option, value to choose and file is \
            completed.
            """,
        positionals: [shell.specification],
        examples: [
            Command.Example(line: "source <(headwater completion bash)", effect: "For the present bash alone:"),
            Command.Example(
                line: "headwater completion fish > ~/.config/fish/completions/headwater.fish", effect: "For every fish:"
            ),
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let script = ShellCompletion(program: HeadwaterProgram.program).script(for: try arguments[shell])
        print(script, terminator: "")
        return .success
    }
}

/// `headwater manual`: the manual page.
enum ManualCommand {
    static let command = Command(
        name: "manual", abstract: "write the manual page",
        discussion: """
            Writes the page headwater(1) to standard output, in roff. It says what --help says of every command; \
            man reads it from a folder such as /usr/local/share/man/man1.
            """,
        examples: [
            Command.Example(line: "headwater manual | man -l -", effect: "Read it:"),
            Command.Example(
                line: "headwater manual > /usr/local/share/man/man1/headwater.1", effect: "Install it:"),
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        print(ManualPage(of: HeadwaterProgram.program).text, terminator: "")
        return .success
    }
}
