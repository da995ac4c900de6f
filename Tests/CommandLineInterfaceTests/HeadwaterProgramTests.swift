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
                [command.name, "--help"], environment: [:], width: width)
            guard case .show(let text) = invocation else {
                Issue.record("\(command.name) --help runs the command")
                continue
            }
            #expect(text.contains("Usage: headwater \(command.name)"))
        }
    }
}
