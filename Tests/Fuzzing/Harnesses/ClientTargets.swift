@testable import Arguments
@testable import CommandLineInterface
@testable import LoadGeneration

/// What is typed, and what servers answer to the load generator.
let clientTargets = [
    FuzzTarget(
        name: "flags", kind: .parser, maximumLength: 1024,
        promise: "arguments and variables are understood or refused, help included",
        run: { input in
            var arguments: [String] = []
            var environment: [String: String] = [:]
            // Arguments end in NUL as in a process's memory; those of the form NAME=VALUE in front are the environment.
            for text in input.rest.split(separator: 0, omittingEmptySubsequences: false) {
                let text = String(decoding: text, as: UTF8.self)
                let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if arguments.isEmpty, text.hasPrefix("HEADWATER_"), parts.count == 2 {
                    environment[String(parts[0])] = String(parts[1])
                } else {
                    arguments.append(text)
                }
            }
            let program = HeadwaterProgram.program
            switch try program.invocation(arguments, environment: environment, width: 60) {
            case .show(let text): require(!text.isEmpty, "help is shown")
            case .run(let name, let parsed):
                require(program.commands.contains { $0.name == name }, "the command is one that there is")
                for warning in parsed.warnings { checkRefusal(UsageError(warning, remedy: "")) }
            }
        }),
    FuzzTarget(
        name: "response", kind: .parser, maximumLength: 4096,
        promise: "a response is the same in whatever pieces it comes",
        run: { input in
            let place = input.integer(in: 0...4096)
            let bytes = input.rest
            let cut = min(place, bytes.count)
            let whole = read([bytes[...]])
            let pieces = read([bytes[..<cut], bytes[cut...]])
            // A response that ends where it was cut is complete before the second piece shows that there is too much.
            if case .success(.some) = read([bytes[..<cut]]) { return }
            require(whole == pieces, "pieces don't matter")
            _ = try whole.get()
        }),
]

private func read(
    _ pieces: [ArraySlice<UInt8>]
) -> Result<ResponseReader.Head?, ResponseReader.Malformed> {
    var reader = ResponseReader()
    var head: ResponseReader.Head?
    do throws(ResponseReader.Malformed) {
        for piece in pieces { head = try append(piece, to: &reader) }
        return .success(head)
    } catch {
        return .failure(error)
    }
}

private func append(
    _ bytes: ArraySlice<UInt8>, to reader: inout ResponseReader
) throws(ResponseReader.Malformed) -> ResponseReader.Head? {
    let result = bytes.withUnsafeBytes { bytes in
        Result { () throws(ResponseReader.Malformed) in try reader.append(bytes) }
    }
    return try result.get()
}
