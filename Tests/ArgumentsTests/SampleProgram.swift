@testable import Arguments

/// A program with one of everything, for the tests of the flag machinery.
enum Sample {
    enum Solver: String, CaseIterable { case euler, heun, midpoint }

    static let host = Option("host", .string("ADDRESS"), default: "127.0.0.1", help: "Where to listen.")
    static let port = Option(
        "port", short: "p", .port, default: 8080, help: "The port to listen on, on every address of the host.")
    static let bodyLimit = Option(
        "body-limit", .bytes(in: 1...(1 << 40)), default: 32 << 20, help: "Largest request.")
    static let drainTimeout = Option(
        "drain-timeout", .duration(in: .zero ... .seconds(3600)), default: .seconds(30), help: "Time to finish.")
    static let keyFile = Option("api-key-file", optional: .file, help: "Keys, one a line.")
    static let solver = Option("solver", .choice("SOLVER", of: Solver.self), default: .euler, help: "The solver.")
    static let sizes = Option("sizes", .list(of: .integer(in: 1...64)), default: [16, 32], help: "Sizes.")
    static let warm = Option(flag: "warm-up", short: "w", default: true, help: "Warm up before serving.")
    static let serve = Command(
        name: "serve", abstract: "answer requests",
        discussion: "Listens and answers.\nUntil told to stop.\n\n  verbatim   line",
        options: [
            OptionGroup("Network", [host, port]), [drainTimeout, keyFile, solver, sizes, warm],
            OptionGroup("Network", [bodyLimit]),
        ],
        examples: ["Serve on another port:": "tool serve --port 9000"],
        variables: ["TOOL_KERNELS": "Kernels to use."])

    static let output = Option("output", short: "o", required: .file, help: "Where to write.")
    static let scale = Option("scale", .number(in: -2...2), default: 1, help: "A factor.")
    static let tags = Option("tag", repeated: .string("TAG"), help: "Tags.")
    static let model = Positional("MODEL", .file, help: "The model.")
    static let images = Positional("IMAGES", repeated: .file, help: "The images.")
    static let embed = Command(
        name: "embed", abstract: "embed images", options: [[output, scale, tags]], positionals: [model, images])

    static let topic = Positional("TOPIC", optional: .string("TOPIC"), help: "What to inspect.")
    static let inspect = Command(name: "inspect", abstract: "inspect", positionals: [topic])

    static let program = Program(
        name: "tool", abstract: "a sample", version: "1.2.3", environmentPrefix: "TOOL_",
        commands: [serve, embed, inspect],
        exitStatuses: [(code: 0, meaning: "Success."), (code: 64, meaning: "A wrong command line.")])

    /// What the command gets; a failure if help is shown instead.
    static func parse(_ arguments: [String], _ environment: [String: String] = [:]) throws -> ParsedArguments {
        switch try program.invocation(arguments, environment: environment) {
        case .run(_, let parsed): return parsed
        case .show(let text): throw UsageError("shows \(text)", remedy: "parse")
        }
    }

    /// The fault of a command line; nil if it is accepted.
    static func fault(_ arguments: [String], _ environment: [String: String] = [:]) -> UsageError? {
        do throws(UsageError) {
            _ = try program.invocation(arguments, environment: environment)
            return nil
        } catch {
            return error
        }
    }

    /// What is shown; empty if a command is run instead.
    static func shown(_ arguments: [String], commit: String? = nil, width: Int = 80) throws -> String {
        let invocation = try program.invocation(arguments, environment: [:], commit: commit, width: width)
        guard case .show(let text) = invocation else {
            return ""
        }
        return text
    }
}
