import Console
import FeatureService
import Files
import Foundation
import Machine
import ReverseODE
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import CommandLineInterface
@testable import Extraction

private struct Hello: Decodable {
    struct Model: Decodable { let name: String, version: String, precision: String }
    struct Tap: Decodable { let time: Float, place: String, dimension: Int }
    let `protocol`: Int
    let model: Model
    let taps: [Tap]
    let normalize: String
    let window: Int
    let maximumBytes: Int
}

private struct Answer: Equatable, CustomStringConvertible {
    let kind: Frame.Kind
    let name: String
    let content: [UInt8]

    var description: String { "\(kind) of \(name), \(content.count) bytes" }
    var text: String { String(decoding: content, as: UTF8.self) }
    var values: [Float] {
        stride(from: 0, to: content.count, by: 4).map { at in
            Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(content[at + $1]) << (8 * UInt32($1)) })
        }
    }
}

/// A stream under way, and its client's ends of two pipes. The client stays off the main actor, which the stream holds up while
/// nothing takes its answers.
private struct Client {
    static let maximumBytes = 1 << 20

    private let input = Pipe()
    private let output = Pipe()
    private let run: Task<Void, any Error>
    /// Where the client waits for its pipes, so that it doesn't hold up the threads of tasks.
    private let queue = DispatchQueue(label: "client")

    init(_ extraction: FeatureExtraction, _ taps: [Tap], hasUnitLength: Bool = false) throws {
        let ends = [input.fileHandleForReading, output.fileHandleForWriting].map { FileDescriptor($0.fileDescriptor) }
        let (input, output) = (input, output)
        run = Task { @MainActor in
            // A client that still writes or reads then learns of the end.
            defer {
                try? input.fileHandleForReading.close()
                try? output.fileHandleForWriting.close()
            }
            let stream = try EmbedStream(
                extraction, taps: taps, hasUnitLength: hasUnitLength, normalization: hasUnitLength ? "l2" : "none",
                maximumBytes: Self.maximumBytes)
            try await stream.run(from: ends[0], to: ends[1])
        }
    }

    private func waiting<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try work() }) }
        }
    }

    func send(_ bytes: [UInt8]) async throws {
        let descriptor = FileDescriptor(input.fileHandleForWriting.fileDescriptor)
        try await waiting { try descriptor.write(bytes) }
    }

    func end() async throws { try await run.value }

    func cancel() { run.cancel() }

    func endInput() throws { try input.fileHandleForWriting.close() }

    func hangUp() throws { try output.fileHandleForReading.close() }

    func answer() async throws -> Answer? {
        let descriptor = FileDescriptor(output.fileHandleForReading.fileDescriptor)
        return try await waiting { try Self.answer(from: descriptor) }
    }

    private static func answer(from descriptor: FileDescriptor) throws -> Answer? {
        func bytes(_ count: Int) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: count)
            var filled = 0
            while filled < count {
                let read = try bytes.withUnsafeMutableBytes {
                    try descriptor.readSome(into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...]))
                }
                guard read > 0 else { break }
                filled += read
            }
            return Array(bytes.prefix(filled))
        }
        let header = try bytes(Frame.headerLength)
        if header.isEmpty { return nil }
        try #require(header.count == Frame.headerLength)
        let fields = Frame.fields(ofHeader: header)
        let kind = try #require(Frame.Kind(rawValue: fields.kind))
        let name = String(decoding: try bytes(fields.nameLength), as: UTF8.self)
        return Answer(kind: kind, name: name, content: try bytes(fields.contentLength))
    }

    func hello() async throws -> Hello {
        let answer = try #require(try await answer())
        #expect(answer.kind == .hello && answer.name.isEmpty)
        return try JSONDecoder().decode(Hello.self, from: Data(answer.content))
    }

    /// What is left to be answered, and how the stream ends.
    func rest() async throws -> (answers: [Answer], failure: CommandFailure?) {
        var answers: [Answer] = []
        while let answer = try await answer() { answers.append(answer) }
        do {
            try await run.value
            return (answers, nil)
        } catch let failure as CommandFailure {
            return (answers, failure)
        }
    }
}

private enum Malformation: CaseIterable {
    case header, kind, content, name, length

    var bytes: [UInt8] {
        switch self {
        case .header: [0x49]
        case .kind: Array("JPEG file".utf8)
        case .content: Frame.bytes(.image, name: [65], [1, 2]).dropLast()
        case .name: [0x49, 1, 0, 1, 0, 0, 0, 0, 0]
        case .length: [0x49, 1, 0, 0, 0, 255, 255, 255, 255, 65, 1]
        }
    }

    var complaint: String {
        switch self {
        case .header, .content, .length: "ends in the middle of frame 2"
        case .kind: "frame 2 on standard input begins with the byte 74"
        case .name: "the name in frame 2 on standard input has 65537 bytes, and at most 65536"
        }
    }
}

private let picture = "images/rgb-32x32.jpg"

/// Keeps the promise that other programs can embed images through pipes: in order, in bounded memory, without a deadlock.
@Suite("headwater embed --stream")
struct EmbedStreamTests {
    private let extraction: FeatureExtraction
    private let served: ServedModel
    private let model: ImportedModel
    private let taps = [Tap(time: .end, place: .pooled)]

    init() async throws {
        // As the program does: a write to a pipe without a reader is an error.
        signal(SIGPIPE, SIG_IGN)
        model = try await ImportedModel.pretrained()
        let computation = Computation(kernels: .best, precision: .f32, pool: WorkerPool(count: 1))
        served = try ModelLoader(pool: computation.pool).load(path: model.path)
        extraction = await FeatureExtraction(
            served, batch: 2, decoding: .scaled, formats: .standard, on: computation)
    }

    private func image(_ name: String, _ content: [UInt8]) -> [UInt8] {
        Frame.bytes(.image, name: Array(name.utf8), content)
    }

    @Test("The hello frame says what the embeddings are, before any image is sent", arguments: [false, true])
    func hello(hasUnitLength: Bool) async throws {
        let client = try Client(extraction, taps + [Tap(time: .at(1), place: .state)], hasUnitLength: hasUnitLength)
        let hello = try await client.hello()
        #expect(hello.protocol == 1 && hello.model.version == served.version.label)
        #expect(hello.model.name == served.version.name && hello.model.precision == "f32")
        #expect(hello.taps.map(\.place) == ["pooled", "state"] && hello.taps.map(\.dimension) == [768, 3072])
        #expect(
            hello.normalize == (hasUnitLength ? "l2" : "none") && hello.window == 4 + 2 * ProcessorBudget.available())
        #expect(hello.maximumBytes == Client.maximumBytes)
        try client.endInput()
        let (answers, failure) = try await client.rest()
        #expect(answers.isEmpty && failure == nil)
    }

    @Test("Answers have the bits of the file command, in the order of the images, bad images' reasons among them")
    func answers() async throws {
        let names = ["gray-77x55.png", "palette-100x100.png", "rgb-32x32.jpg"]
        let files = try names.map { try TestFixtures.bytes("images/\($0)") }
        let client = try Client(extraction, taps)
        _ = try await client.hello()
        for (name, file) in zip(names, files) {
            try await client.send(image(name, file))
            try await client.send(image("bad \(name)", Array(file.prefix(40))))
        }
        try await client.send(image("", []))
        try client.endInput()
        let (answers, failure) = try await client.rest()
        #expect(failure == nil)
        #expect(answers.map(\.name) == names.flatMap { [$0, "bad \($0)"] } + [""])
        #expect(answers.map(\.kind) == [.vectors, .error, .vectors, .error, .vectors, .error, .error])
        #expect(answers[6].text.contains("no bytes"), "\(answers[6].text)")

        let npy = model.scratch.path("a.npy")
        let outcome = try await BuiltProgram.run(
            ["embed", "--model", model.path, "--from", "pooled", "-o", npy]
                + names.map { TestFixtures.path("images/\($0)") })
        #expect(outcome.status == 0, "\(outcome.errors)")
        let rows = Array(try Data(contentsOf: URL(filePath: npy)).dropFirst(NumPyArray.headerLength))
        #expect(rows == answers.filter { $0.kind == .vectors }.flatMap(\.content))
    }

    @Test("Each image may wait for the answer of the one before it")
    func lockstep() async throws {
        let client = try Client(extraction, taps, hasUnitLength: true)
        _ = try await client.hello()
        for index in 0..<3 {
            try await client.send(image("\(index)", TestFixtures.bytes(picture)))
            let answer = try #require(try await client.answer())
            #expect(answer.name == "\(index)" && answer.kind == .vectors)
            #expect(abs(answer.values.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
        }
        try client.endInput()
        #expect(try await client.rest().failure == nil)
    }

    @Test("A client may write as many images as the window says before it reads, though both pipes are full")
    func window() async throws {
        // Seven states of 12 KiB each are more than a pipe holds.
        let taps = served.model.grid.times.flatMap { time in
            [TapPlace.state, .pooled].map { Tap(time: .at(time), place: $0) }
        }
        let client = try Client(extraction, taps)
        let hello = try await client.hello()
        #expect(hello.taps.reduce(0) { $0 + $1.dimension } * 4 * hello.window > 1 << 17)
        // A JPEG's end may be followed by anything, and a pipe holds less than this.
        let padded = try TestFixtures.bytes(picture) + [UInt8](repeating: 0, count: 1 << 17)
        for index in 0..<hello.window { try await client.send(image("\(index)", padded)) }
        for index in 0..<hello.window {
            let answer = try #require(try await client.answer())
            #expect(answer.name == "\(index)" && answer.kind == .vectors, "\(answer.text)")
        }
        try client.endInput()
        #expect(try await client.rest().answers.isEmpty)
    }

    @Test("An image that is too large is answered with the reason, and the images after it as ever")
    func tooLarge() async throws {
        let client = try Client(extraction, taps)
        _ = try await client.hello()
        try await client.send(image("large", [UInt8](repeating: 0xFF, count: Client.maximumBytes + 1)))
        try await client.send(image("small", TestFixtures.bytes(picture)))
        try client.endInput()
        let (answers, failure) = try await client.rest()
        #expect(answers.map(\.name) == ["large", "small"] && answers.map(\.kind) == [.error, .vectors])
        let limit = Client.maximumBytes
        #expect(
            failure == nil && answers[0].text == "the image has \(limit + 1) bytes, and at most \(limit) are allowed")
    }

    @Test(
        "Input that isn't frames ends the stream after the answers to what came before, and the error says where",
        arguments: Malformation.allCases)
    fileprivate func malformed(input: Malformation) async throws {
        let client = try Client(extraction, taps)
        _ = try await client.hello()
        try await client.send(image("a", TestFixtures.bytes(picture)))
        try await client.send(input.bytes)
        try client.endInput()
        let (answers, failure) = try await client.rest()
        #expect(answers.map(\.name) == ["a"] && failure?.status == .unusableData)
        #expect(failure?.description.contains(input.complaint) == true, "\(String(describing: failure))")
    }

    @Test("A client that hangs up ends the stream, although it still holds the other pipe and no image is unanswered")
    func hangUp() async throws {
        let client = try Client(extraction, taps)
        _ = try await client.hello()
        try client.hangUp()
        let failure = await #expect(throws: CommandFailure.self) { try await client.end() }
        #expect(failure?.status == .unwritableOutput)
    }

    @Test("A stream that is cancelled while it waits for its client ends with that alone")
    func cancels() async throws {
        let client = try Client(extraction, taps)
        _ = try await client.hello()
        client.cancel()
        await #expect(throws: CancellationError.self) { try await client.end() }
    }

    @Test(
        "Options that would have no effect are refused",
        arguments: [
            ["-o", "a.npy"], ["--format", "npy"], ["--shard", "0/2"], ["--keep-output"], ["--resume"], ["-0"],
            ["--files-from", "-"], ["--damaged", "fail"], ["a.jpg"],
        ])
    func refuses(options: [String]) async throws {
        let outcome = try await BuiltProgram.run(["embed", "--stream"] + options)
        #expect(outcome.status == 64 && outcome.output.isEmpty && outcome.errors.contains("--stream"))
    }
}
