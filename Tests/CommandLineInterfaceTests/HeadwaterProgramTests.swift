import Testing

@testable import Arguments
@testable import CommandLineInterface

@Suite("The program's description")
struct HeadwaterProgramTests {
    @Test("No two things have one name, and everything has help")
    func hasNoFaults() {
        #expect(HeadwaterProgram.program.descriptionFaults == [])
    }

    @Test("Every command's help fits a terminal and shows an example or is self-evident", arguments: [60, 80, 120])
    func helpFits(width: Int) throws {
        for command in HeadwaterProgram.program.commands {
            let invocation = try HeadwaterProgram.program.invocation(
                command.name.split(separator: " ").map(String.init) + ["--help"], environment: [:], width: width)
            guard case .show(let text) = invocation else {
                Issue.record("\(command.name) --help runs the command")
                continue
            }
            #expect(text.contains("Usage: headwater \(command.name)"))
        }
    }

    @Test("A group's help lists its commands, and the overview and completions list the group")
    func groups() throws {
        let program = HeadwaterProgram.program
        for line in [["bench", "--help"], ["bench", "-h"], ["help", "bench"]] {
            guard case .show(let text) = try program.invocation(line, environment: [:]) else {
                Issue.record("\(line) runs a command")
                continue
            }
            #expect(text.contains("Usage: headwater bench COMMAND [OPTIONS]"))
            for name in ["network", "precision", "profile", "training", "decoding", "served", "write-model"] {
                #expect(text.contains("\n  \(name) "))
            }
        }
        guard case .show(let overview) = try program.invocation(["--help"], environment: [:]) else { return }
        #expect(overview.contains("\n  bench   ") && !overview.contains("bench network"))
        guard case .show(let help) = try program.invocation(["help", "bench", "served"], environment: [:]) else {
            return
        }
        #expect(help.contains("Usage: headwater bench served [OPTIONS]"))
        let error = try #require(throws: UsageError.self) {
            try program.invocation(["bench", "served", "--clients", "0"], environment: [:])
        }
        #expect(error.helpCommand == "headwater bench served --help")
    }
}
