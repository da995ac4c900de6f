import Foundation
import TestFixtures
import Testing

/// The program as it was built beside these tests, run in processes of its own.
struct BuiltProgram {
    /// What a run left.
    struct Outcome {
        let status: Int32
        let wasSignalled: Bool
        let output: String
        let errors: String

        /// The lines of `output`, each a JSON document.
        func decodedLines<Value: Decodable>(_ type: Value.Type) throws -> [Value] {
            try output.split(separator: "\n").map { try JSONDecoder().decode(type, from: Data($0.utf8)) }
        }
    }

    /// A process under way.
    struct Run {
        let process: Process
        /// Standard error, as it comes.
        let errors: FileHandle
        fileprivate let end: AsyncStream<Void>

        /// Waits for its end; the threads that run tests are not held up meanwhile.
        func wait() async { for await _ in end { return } }
    }

    static let executable = Bundle.main.executableURL!.deletingLastPathComponent().appending(path: "headwater")

    /// Runs it to its end.
    static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Outcome {
        let scratch = try Scratch()
        let (output, errors) = (scratch.path("output"), scratch.path("errors"))
        for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        let run = try start(
            arguments, environment: environment, output: FileHandle(forWritingTo: URL(filePath: output)),
            errors: FileHandle(forWritingTo: URL(filePath: errors)))
        await run.wait()
        return Outcome(
            status: run.process.terminationStatus, wasSignalled: run.process.terminationReason == .uncaughtSignal,
            output: try String(contentsOfFile: output, encoding: .utf8),
            errors: try String(contentsOfFile: errors, encoding: .utf8))
    }

    /// Starts it with standard error to be read while it runs.
    static func start(_ arguments: [String]) throws -> Run {
        let pipe = Pipe()
        let run = try start(arguments, environment: [:], output: .nullDevice, errors: pipe.fileHandleForWriting)
        try pipe.fileHandleForWriting.close()
        return Run(process: run.process, errors: pipe.fileHandleForReading, end: run.end)
    }

    private static func start(
        _ arguments: [String], environment: [String: String], output: FileHandle, errors: FileHandle
    ) throws -> Run {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        let (end, continuation) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in continuation.finish() }
        try process.run()
        return Run(process: process, errors: errors, end: end)
    }
}

/// A folder that is gone when nobody refers to it any more.
final class Scratch: Sendable {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "headwater-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func path(_ name: String) -> String { folder.appending(path: name).path }

    /// All that is in it, hidden files included.
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }

    @discardableResult
    func write(_ bytes: some Sequence<UInt8>, to name: String) throws -> String {
        let file = folder.appending(path: name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
        return file.path
    }
}

/// Model files made by `headwater import` from the fixtures' checkpoints.
struct ImportedModel {
    let scratch: Scratch
    let path: String

    static let classes = (0..<10).map { "class \($0)" }

    /// Three evaluations an image, ten classes named `class 0` to `class 9`.
    static func classifier() async throws -> ImportedModel {
        let scratch = try Scratch()
        let labels = try scratch.write(classes.joined(separator: "\n").utf8, to: "labels.txt")
        return try await make(
            scratch, "otcfm32-cutoff", ["--path", "otcfm", "--t-span", "10", "--t-cutoff", "6", "--labels", labels])
    }

    /// Without a head.
    static func pretrained() async throws -> ImportedModel {
        try await make(try Scratch(), "pretrained-only-ddp", ["--path", "icfm", "--t-span", "6", "--t-cutoff", "3"])
    }

    private static func make(_ scratch: Scratch, _ name: String, _ flags: [String]) async throws -> ImportedModel {
        let path = scratch.path("\(name).safetensors")
        let outcome = try await BuiltProgram.run(
            ["import", TestFixtures.path("models/\(name).pt"), "--image-size", "32", "-o", path] + flags)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return ImportedModel(scratch: scratch, path: path)
    }
}
