import Arguments
import Console

/// `headwater completion`: what makes a shell complete the program's command line.
enum CompletionCommand: Subcommand {
    private static let shell = Positional(
        "SHELL", .choice("SHELL", of: ShellCompletion.Shell.self), help: "The shell: bash, zsh or fish.")

    static let command = Command(
        name: "completion", abstract: "write a shell completion script",
        discussion: """
            Writes a script to standard output that completes every option, choice and file. Save it where the shell looks \
            for it. bash: in /etc/bash_completion.d or ~/.local/share/bash-completion/completions, under the program's name. \
            zsh: in a folder of $fpath, such as /usr/local/share/zsh/site-functions, under the name _headwater. fish: in \
            /etc/fish/completions or ~/.config/fish/completions, under the program's name with the suffix .fish.
            """,
        positionals: [shell],
        examples: [
            "In the current bash session only:": "source <(headwater completion bash)",
            "In every fish session:": "headwater completion fish > ~/.config/fish/completions/headwater.fish",
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let script = ShellCompletion(of: HeadwaterProgram.program).script(for: try arguments[shell])
        print(script, terminator: "")
        return .success
    }
}

/// `headwater manual`: the manual page.
enum ManualCommand: Subcommand {
    static let command = Command(
        name: "manual", abstract: "write the manual page",
        discussion: """
            Writes the manual page headwater(1) in roff to standard output. It has the same content as --help of every \
            command. Save it in a folder that man searches, such as /usr/local/share/man/man1.
            """,
        examples: [
            "Read it:": "headwater manual | man -l -",
            "Install it:": "headwater manual > /usr/local/share/man/man1/headwater.1",
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        print(ManualPage(of: HeadwaterProgram.program).text, terminator: "")
        return .success
    }
}
