import Foundation
import Testing

@testable import Arguments

@Suite struct HelpTests {
    @Test("A command's help shows everything: groups, defaults, variables, precedence, examples")
    func commandHelp() throws {
        #expect(
            try Sample.shown(["serve", "--help"]) == """
                tool serve: answer requests

                Usage: tool serve [OPTIONS]

                Listens and answers. Until told to stop.

                  verbatim   line

                Network:
                      --host ADDRESS          Where to listen. [default 127.0.0.1; TOOL_HOST]
                  -p, --port PORT             The port to listen on, on every address of the
                                              host. [default 8080; TOOL_PORT]
                      --body-limit SIZE       Largest request. [default 32MiB; TOOL_BODY_LIMIT]

                Options:
                      --drain-timeout DURATION
                                              Time to finish. [default 30s; TOOL_DRAIN_TIMEOUT]
                      --api-key-file FILE     Keys, one a line. [TOOL_API_KEY_FILE]
                      --solver SOLVER         The solver. [one of euler, heun, midpoint; default
                                              euler; TOOL_SOLVER]
                      --sizes N,…             Sizes. [default 16,32; TOOL_SIZES]
                  -w, --[no-]warm-up          Warm up before serving. [default on; TOOL_WARM_UP]
                  -h, --help                  Show this help.

                Environment:
                  The variable of each option is listed with it. A flag takes precedence over
                  its variable, and the variable over the default. An empty variable counts as
                  unset. The variable of a switch is true or false.
                  TOOL_KERNELS                Kernels to use.

                Examples:
                  Serve on another port:
                    $ tool serve --port 9000

                """)
    }

    @Test("Positionals are explained; a command without options names no variables")
    func positionalHelp() throws {
        let text = try Sample.shown(["help", "embed"])
        #expect(text.contains("Usage: tool embed [OPTIONS] MODEL IMAGES...\n"))
        #expect(text.contains("  MODEL                       The model.\n"))
        #expect(text.contains("  -o, --output FILE           Where to write. [required; TOOL_OUTPUT]\n"))
        #expect(text.contains("      --tag TAG,…             Tags. [repeatable; TOOL_TAG]\n"))
        #expect(try !Sample.shown(["help", "inspect"]).contains("Environment:"))
    }

    @Test(
        "Help is wrapped to the terminal, within what can be read",
        arguments: [(10, 40), (40, 40), (72, 72), (500, 120)])
    func width(terminal: Int, longest: Int) throws {
        for arguments in [["--help"], ["serve", "-h"], ["embed", "-h"], ["inspect", "-h"]] {
            for line in try Sample.shown(arguments, width: terminal).split(separator: "\n") {
                #expect(line.count <= longest, "\(line)")
            }
        }
    }

    @Test("Help is shown wherever it is asked for, even with other faults, but not after --")
    func asking() throws {
        let text = try Sample.shown(["serve", "--help"])
        #expect(try Sample.shown(["serve", "--nonsense", "-h"]) == text)
        #expect(try Sample.shown(["help", "serve"]) == text)
        #expect(Sample.fault(["serve", "--", "--help"]) != nil)
    }

    @Test("The program's help lists its commands; its version is told")
    func overview() throws {
        let overview = try Sample.shown(["--help"])
        for command in Sample.program.commands { #expect(overview.contains("  \(command.name) ")) }
        #expect(try Sample.shown(["-h"]) == overview)
        #expect(try Sample.shown(["help"]) == overview)
        #expect(try Sample.shown(["--version"]) == "tool 1.2.3\n")
        #expect(try Sample.shown(["--version"], commit: "c0ffee") == "tool 1.2.3 (commit c0ffee)\n")
    }

    @Test("The program's help says which way the environment works and what each exit status means")
    func environmentAndExitStatuses() throws {
        let overview = try Sample.shown(["--help"], width: 120)
        let words = overview.split { $0 == "\n" || $0 == " " }.joined(separator: " ")
        #expect(words.contains("A flag takes precedence over its variable, and the variable over the default."))
        #expect(words.contains("TOOL_"))
        let listed = try #require(overview.components(separatedBy: "Exit status:\n").last)
        #expect(
            listed.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") } == [
                "0 Success.", "64 A wrong command line.",
            ])
    }
}
