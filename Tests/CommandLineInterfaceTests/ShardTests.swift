import Arguments
import Foundation
import TestBench
import TestFixtures
import Testing

@testable import CommandLineInterface
@testable import Extraction

@Suite("headwater embed --shard")
struct ShardTests {
    @Test(
        "Shards cover every element once, in order, and differ by at most one element",
        arguments: [(0, 1), (0, 3), (1, 4), (7, 3), (12, 4), (1000, 999), (5, Shard.limit), (1 << 40, Shard.limit)])
    func covers(length: Int, count: Int) throws {
        var end = 0
        var lengths: Set<Int> = []
        for index in 0..<count {
            let range = try #require(Shard(index, of: count)).range(in: length)
            #expect(range.lowerBound == end)
            end = range.upperBound
            lengths.insert(range.count)
        }
        #expect(end == length)
        #expect(lengths.max()! - lengths.min()! <= 1)
    }

    @Test("Shards are read as they are written", arguments: ["0/1", "3/4", "00/2", "999999/1000000"])
    func reads(text: String) throws {
        let shard = try #require(Shard(text))
        #expect(Shard("\(shard)") == shard)
    }

    @Test(
        "Shards that aren't there are refused",
        arguments: [
            "", "/", "1", "0/0", "2/2", "3/2", "-1/4", "0/-4", "+0/4", "a/b", "0/", "/4", "0/4/4", "0 /4", "0/4 ",
            "0/1000001", "0x0/4", "٠/٤", "99999999999999999999/4", "0/99999999999999999999", "$JOB_COMPLETION_INDEX/4",
        ])
    func refuses(text: String) { #expect(Shard(text) == nil) }

    @Test(
        "A bad shard, given by flag or variable, ends the command with a sentence that says what one is",
        arguments: ["3/2", "-1/4", "a/b"])
    func complains(text: String) async throws {
        for (arguments, environment, place) in [
            (["--shard=\(text)"], [:], "--shard"), ([], ["HEADWATER_SHARD": text], "HEADWATER_SHARD"),
        ] {
            let outcome = try await BuiltProgram.run(["embed", "/nonexistent"] + arguments, environment: environment)
            #expect(outcome.status == 64 && outcome.output.isEmpty)
            #expect(outcome.errors.contains("\(place): '\(text)' is not accepted; give the number of the part"))
        }
        let kept = try await BuiltProgram.run(["embed", "/nonexistent", "--keep-output"])
        #expect(kept.status == 64 && kept.errors.contains("name a file with -o"))
    }

    @Test("Text outputs of all shards, one after the other, are the whole output", arguments: ["jsonl", "csv"])
    func joinsText(format: String) async throws {
        let model = try await ImportedModel.classifier()
        let images = ["rgb-32x32.jpg", "gray-77x55.png", "palette-100x100.png"].map {
            TestFixtures.path("images/\($0)")
        }
        let arguments = ["embed", "--model", model.path, "--from", "middle", "--format", format] + images + images
        let whole = try await BuiltProgram.run(arguments).output
        var joined = ""
        for index in 0..<4 {
            let part = try await BuiltProgram.run(arguments, environment: ["HEADWATER_SHARD": "\(index)/4"])
            #expect(part.status == 0)
            // The only line says what was written.
            #expect(part.errors.hasPrefix("headwater: standard output: ") && part.errors.count { $0 == "\n" } == 1)
            joined += part.output
        }
        #expect(joined == whole)
    }

    @Test("A shard without images writes a matrix without rows; no images in all is an error in every shard")
    func emptyShard() async throws {
        let model = try await ImportedModel.classifier()
        let output = model.scratch.path("empty.npy")
        let image = TestFixtures.path("images/rgb-32x32.jpg")
        let empty = try await BuiltProgram.run(["embed", "--model", model.path, image, "--shard", "0/2", "-o", output])
        #expect(empty.status == 0, "\(empty.errors)")
        let matrix = [UInt8](try Data(contentsOf: URL(filePath: output)))
        #expect(matrix.count == 128 && String(decoding: matrix[10...], as: UTF8.self).contains("(0, 768)"))
        #expect(try Data(contentsOf: URL(filePath: output + ".paths")).isEmpty)
        let none = try await BuiltProgram.run(["embed", "--model", model.path, "/nonexistent", "--shard", "0/2"])
        #expect(none.status == 66)
    }
}
