import Arguments

@testable import CommandLineInterface

/// What the program makes of a command line, without carrying it out.
func parsed(_ line: [String], environment: [String: String] = [:]) throws -> ParsedArguments {
    let invocation = try HeadwaterProgram.program.invocation(line, environment: environment)
    guard case .run(_, let arguments) = invocation else { throw NoCommand() }
    return arguments
}

/// A command line that asks for help.
struct NoCommand: Error {}
