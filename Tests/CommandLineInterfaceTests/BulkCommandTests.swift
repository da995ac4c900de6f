import CheckpointFormats
import FeatureService
import Foundation
import ReverseODE
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import Benchmarks
@testable import CommandLineInterface

private struct EmbeddedRow: Decodable {
    struct TapValues: Decodable {
        let time: Float
        let place: String
        let dimension: Int
        let embedding: [Float]
    }
    let path: String
    let taps: [TapValues]
}

private struct ClassifiedRow: Decodable {
    struct Ranked: Decodable {
        let index: Int
        let label: String?
        let probability: Double
    }
    let path: String
    let classes: [Ranked]
}

/// A NumPy matrix: its shape as the header writes it, and its numbers.
private func matrix(_ path: String) throws -> (shape: String, values: [Float]) {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    try #require(bytes.starts(with: [0x93] + Array("NUMPY".utf8)) && bytes.count > 128)
    let header = String(decoding: bytes[10..<128], as: UTF8.self)
    let shape = try #require(header.split(separator: "'shape': ").last?.split(separator: ")").first)
    let values = stride(from: 128, to: bytes.count, by: 4).map { at in
        Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) })
    }
    return (String(shape) + ")", values)
}

private let images = ["rgb-32x32.jpg", "gray-77x55.png", "palette-100x100.png"].map {
    TestFixtures.path("images/\($0)")
}

@Suite("headwater embed and classify")
struct BulkCommandTests {
    @Test("Embeddings are those of the library, in the order of the paths, in every format")
    func embeds() async throws {
        let model = try await ImportedModel.classifier()
        let lines = try await BuiltProgram.run(["embed", "--model", model.path] + images)
        #expect(lines.status == 0)
        #expect(
            lines.errors.hasPrefix("headwater: standard output: 3 images, 1 tap (")
                && lines.errors.contains("0 skipped"))
        let rows = try lines.decodedLines(EmbeddedRow.self)
        #expect(rows.map(\.path) == images)

        let pool = WorkerPool(count: 1)
        let served = try ModelLoader(pool: pool).load(path: model.path)
        let integrator = ReverseIntegrator(model: served.model, capacity: 1, kernels: .best, pool: pool)
        for (row, image) in zip(rows, images) {
            let input = try served.preprocessing.input(for: [UInt8](Data(contentsOf: URL(filePath: image))))
            var pass = [
                integrator.trajectory(input: input, taps: [try served.model.defaultTap()], wantsLogits: false)
            ]
            integrator.run(&pass)
            #expect(row.taps.map(\.embedding) == pass[0].features)
            #expect(row.taps.map(\.dimension) == [768] && row.taps.map(\.place) == ["pooled"])
        }

        let expected = rows.flatMap { $0.taps[0].embedding }
        let npy = model.scratch.path("a.npy")
        let written = try await BuiltProgram.run(["embed", "--model", model.path, "-o", npy] + images)
        #expect(written.status == 0 && written.errors.isEmpty)
        #expect(written.output.hasPrefix("\(npy): 3 images, 1 tap ("))
        #expect(written.output.contains(" 768), 768 numbers per image, 0 skipped, "))
        #expect(written.output.hasSuffix(" s\n"))
        #expect(try matrix(npy).shape == "(3, 768)")
        #expect(try matrix(npy).values == expected)
        #expect(try String(contentsOfFile: npy + ".paths", encoding: .utf8) == images.map { $0 + "\n" }.joined())

        let table = try await BuiltProgram.run(["embed", "--model", model.path, "--format", "csv"] + images)
        let fields = table.output.split(separator: "\n").map { $0.split(separator: ",") }
        #expect(fields[0].count == 769 && fields[0][1].hasSuffix("/pooled/0"))
        let numbers: [Float?] = fields.dropFirst().flatMap { row in row.dropFirst().map { Float(String($0)) } }
        #expect(numbers == expected)
    }

    @Test("Every time with every place, times outermost; l2 gives length 1")
    func embedsTaps() async throws {
        let model = try await ImportedModel.classifier()
        let outcome = try await BuiltProgram.run([
            "embed", "--model", model.path, "--at", "1,end", "--from", "middle,head", "--normalize", "l2", images[0],
        ])
        let taps = try #require(try outcome.decodedLines(EmbeddedRow.self).first).taps
        #expect(taps.map(\.place) == ["middle", "head", "middle", "head"])
        #expect(taps.map(\.time) == [1, 1, taps[2].time, taps[2].time] && taps[2].time < 1)
        for tap in taps {
            let length = tap.embedding.reduce(0.0) { $0 + Double($1 * $1) }.squareRoot()
            #expect(abs(length - 1) < 1e-5 && tap.embedding.count == tap.dimension)
        }
    }

    @Test("A large photograph is decoded at a fraction of its size unless --exact-decode is given; bench compares both")
    func decodingModes() async throws {
        let model = try await ImportedModel.classifier()
        let image = TestFixtures.path("images/large-2501x1999.jpg")
        let served = try ModelLoader(pool: WorkerPool(count: 1)).load(path: model.path)
        let bytes = try TestFixtures.bytes("images/large-2501x1999.jpg")
        #expect(try served.preprocessing.input(for: bytes) != served.preprocessing.input(for: bytes, decoding: .exact))
        func state(_ flags: [String]) async throws -> [Float] {
            let outcome = try await BuiltProgram.run(
                ["embed", "--model", model.path, "--at", "1", "--from", "state", image] + flags)
            return try #require(try outcome.decodedLines(EmbeddedRow.self).first).taps[0].embedding
        }
        #expect(try await state([]) == served.preprocessing.input(for: bytes))
        #expect(try await state(["--exact-decode"]) == served.preprocessing.input(for: bytes, decoding: .exact))

        let outcome = try await BuiltProgram.run([
            "bench", "decoding", image, images[0], "--model", model.path, "--seconds", "0", "--json",
        ])
        let report = try JSONDecoder().decode(DecodingBenchmark.Report.self, from: Data(outcome.output.utf8))
        #expect(report.measurements.map(\.denominator) == [8, 1] && report.measurements[1].cosine == 1)
        #expect((0.99..<1).contains(report.measurements[0].cosine) && report.measurements[0].width == 2501)
    }

    @Test("A bad file is named on standard error and left out; the rest is there, and the status is 1")
    func skipsBadFiles() async throws {
        let model = try await ImportedModel.classifier()
        let bad = try model.scratch.write(Array("no image".utf8), to: "photos/a/b.jpg")
        try model.scratch.write(TestFixtures.bytes("images/rgb-32x32.jpg"), to: "photos/c.jpg")
        try model.scratch.write(Array("text".utf8), to: "photos/notes.txt")
        let npy = model.scratch.path("a.npy")
        let outcome = try await BuiltProgram.run([
            "embed", "--model", model.path, "-o", npy, model.scratch.path("photos"), model.scratch.path("gone.jpg"),
        ])
        #expect(outcome.status == 1)
        for part in [bad, "not an image", "gone.jpg: No such file", "1 not .jpg"] {
            #expect(outcome.errors.contains(part))
        }
        #expect(outcome.output.contains(": 1 image, ") && outcome.output.contains(", 2 skipped, "))
        #expect(!outcome.errors.contains("\r"), "no progress bar where there is no terminal")
        #expect(try matrix(npy).shape == "(1, 768)")
        #expect(
            try String(contentsOfFile: npy + ".paths", encoding: .utf8) == model.scratch.path("photos/c.jpg") + "\n")
    }

    @Test("Many more images than are kept in memory come out in their order")
    func keepsOrder() async throws {
        let model = try await ImportedModel.pretrained()
        let paths = (0..<90).map { images[$0 * $0 % 3] }
        let outcome = try await BuiltProgram.run(
            ["embed", "--model", model.path, "--batch", "4", "--from", "middle"] + paths)
        let rows = try outcome.decodedLines(EmbeddedRow.self)
        #expect(rows.map(\.path) == paths)
        for (row, path) in zip(rows, paths) {
            let first = try #require(rows.first { $0.path == path })
            #expect(row.taps[0].embedding == first.taps[0].embedding, "a row doesn't depend on the other rows")
        }
    }

    @Test("Classes come most probable first, with the model's labels")
    func classifies() async throws {
        let model = try await ImportedModel.classifier()
        let outcome = try await BuiltProgram.run(["classify", "--model", model.path, "--top", "10"] + images)
        #expect(outcome.status == 0)
        for row in try outcome.decodedLines(ClassifiedRow.self) {
            #expect(row.classes.map(\.probability) == row.classes.map(\.probability).sorted(by: >))
            #expect(abs(row.classes.reduce(0) { $0 + $1.probability } - 1) < 1e-9)
            #expect(row.classes.allSatisfy { $0.label == "class \($0.index)" })
        }
        let csv = model.scratch.path("classes.csv")
        #expect(
            try await BuiltProgram.run(["classify", "--model", model.path, "--top", "2", "-o", csv] + images).status
                == 0)
        let lines = try String(contentsOfFile: csv, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 7 && lines[0] == "path,rank,index,label,probability")
        #expect(lines[2].hasPrefix("\(images[0]),2,"))
    }

    @Test("An interrupted run leaves nothing half written, the old file as it was, and where to go on from")
    func interrupts() async throws {
        let model = try await ImportedModel.classifier()
        let results = try Scratch()
        let old = try results.write(Array("old".utf8), to: "a.npy")
        let run = try startEmbedding(into: old, model)
        run.signal(SIGINT)
        #expect(await run.wait() == .signalled(SIGINT))
        #expect(try results.names() == ["a.npy", "a.npy.progress"])
        #expect(try String(contentsOfFile: old, encoding: .utf8) == "old")
    }

    @Test("What a killed run leaves is dropped by the next into the same output that can't go on from it")
    func killed() async throws {
        let model = try await ImportedModel.classifier()
        let results = try Scratch()
        let output = results.path("a.npy")
        let run = try startEmbedding(into: output, model)
        run.signal(SIGKILL)
        #expect(await run.wait() == .signalled(SIGKILL))
        #expect(try results.names() == ["a.npy.progress"])
        let line = ["embed", "--model", model.path, "--normalize", "l2", "-o", output, images[0]]
        let refused = try await BuiltProgram.run(line + ["--resume"])
        #expect(refused.status == 64 && refused.errors.contains("--normalize was none and is l2"))
        let next = try await BuiltProgram.run(line)
        #expect(next.status == 0 && next.errors.contains("starting again"))
        #expect(try results.names() == ["a.npy", "a.npy.paths"])
    }

    /// Begins a run that takes minutes and waits until it is under way, which its first image's failure tells.
    private func startEmbedding(into output: String, _ model: ImportedModel) throws -> BuiltProgram.Run {
        let broken = try model.scratch.write([0], to: "broken.jpg")
        let (run, pipe) = try BuiltProgram.start(
            ["embed", "--model", model.path, "-o", output, broken] + Array(repeating: images[0], count: 20_000))
        var errors = ""
        while !errors.contains("broken.jpg") {
            let data = pipe.availableData
            try #require(!data.isEmpty, "it ended early: \(errors)")
            errors += String(decoding: data, as: UTF8.self)
        }
        return run
    }
}
