import Arguments
import Console
import Foundation
import TestBench
import TestFixtures
import Testing
import UntrustedText

@testable import CommandLineInterface
@testable import Extraction

private let picture = "images/rgb-32x32.jpg"

private struct Row: Decodable {
    let path: String
    let pathBytes: String?
}

/// Keeps the promise that `embed` and `classify` take whatever a shell hands to them, and that nothing is lost on the way.
@Suite("Inputs of headwater embed and classify") @MainActor
struct BulkInputTests {
    /// Embeds in this process.
    private func embed(_ arguments: [String]) async throws -> Console.ExitStatus {
        guard
            case .run(_, let parsed) = try HeadwaterProgram.program.invocation(["embed"] + arguments, environment: [:])
        else { throw UsageError("help is shown", remedy: "none") }
        return try await EmbedCommand.run(parsed)
    }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(filePath: path)) }

    @Test(
        "A run that ended at an image goes on behind the ones before it, to the bytes of one that did not; shards too",
        arguments: ["npy", "csv", "jsonl"], ["0/1", "1/2"])
    func resumes(format: String, shard: String) async throws {
        let model = try await ImportedModel.pretrained()
        let scratch = try Scratch()
        for index in 0..<6 { try scratch.write(TestFixtures.bytes(picture), to: "photos/\(index).jpg") }
        let (whole, parts) = (scratch.path("whole.\(format)"), scratch.path("parts.\(format)"))
        let line = ["--model", model.path, "--from", "middle", "--shard", shard, scratch.path("photos"), "-o"]
        #expect(try await embed(line + [whole]) == .success)

        try scratch.write(Array(TestFixtures.bytes(picture).prefix(500)), to: "photos/4.jpg")
        let error = await #expect(throws: CommandFailure.self) { try await embed(line + [parts, "--damaged", "fail"]) }
        #expect(error?.status == .unusableData && error?.description.contains("photos/4.jpg") == true)
        let held = shard == "0/1" ? 4 : 1
        let progress = try bytes(parts + ProgressFile.suffix)
        let fields = try ProgressFileContents(progress)
        #expect(fields.records == held)
        try scratch.write(TestFixtures.bytes(picture), to: "photos/4.jpg")
        #expect(try await embed(line + [parts, "--resume"]) == .success)
        #expect(try bytes(parts) == bytes(whole))
        if format == "npy" { #expect(try bytes(parts + ".paths") == bytes(whole + ".paths")) }
        #expect(!FileManager.default.fileExists(atPath: parts + ProgressFile.suffix))
    }

    @Test("What was skipped before an interruption is counted and told of again")
    func skippedBefore() async throws {
        let model = try await ImportedModel.pretrained()
        let scratch = try Scratch()
        for index in 0..<4 { try scratch.write(TestFixtures.bytes(picture), to: "photos/\(index).jpg") }
        try scratch.write([0], to: "photos/1.jpg")
        let output = scratch.path("a.npy")
        let line = ["embed", "--model", model.path, "--from", "middle", scratch.path("photos"), "-o", output]
        // The folder of the output's list is in the way, so that the run ends when all is computed.
        try scratch.write([], to: "a.npy.paths/x")
        let first = try await BuiltProgram.run(line)
        #expect(first.status == 74 && first.errors.contains("1.jpg: the bytes are not an image"), "\(first.errors)")
        try FileManager.default.removeItem(atPath: output + ".paths")
        let second = try await BuiltProgram.run(line)
        #expect(second.status == 1 && second.errors.contains("resuming after 4 of 4 images"))
        #expect(second.errors.contains("1.jpg: the bytes are not an image"))
        #expect(second.output.contains(": 3 images, ") && second.output.contains(", 1 skipped, "))
        #expect(try scratch.names() == ["a.npy", "a.npy.paths", "photos"])
    }

    @Test("Names of any bytes are read, as arguments too, written as they are, and shown with escapes")
    func anyNames() async throws {
        let model = try await ImportedModel.classifier()
        let scratch = try Scratch()
        let folder = try scratch.write([], to: "photos/empty.txt").dropLast("empty.txt".count)
        let names: [[UInt8]] = [Array("a\n\u{1B}.jpg".utf8), [0xE9] + Array(".jpg".utf8)]
        let photo = try TestFixtures.bytes(picture)
        for name in names + [[0xFF] + Array(".jpg".utf8)] {
            let file = try #require(fopen((folder + String(pathBytes: name)).systemPath, "w"))
            if name[0] != 0xFF { fwrite(photo, 1, photo.count, file) }
            fclose(file)
        }
        let bad = String(folder) + String(pathBytes: names[1])
        let npy = scratch.path("a.npy")
        let outcome = try await BuiltProgram.run(["embed", "--model", model.path, "-o", npy, String(folder), bad])
        #expect(outcome.status == 1 && outcome.errors.contains("photos/\\xFF.jpg: "))
        let prefix = Array(folder.utf8)
        let escaped: [UInt8] = [0x5C] + prefix + Array("a\\n\u{1B}.jpg\n".utf8)
        let plain: [UInt8] = prefix + names[1] + [0x0A]
        #expect(try [UInt8](bytes(npy + ".paths")) == escaped + plain + plain)

        let rows = try await BuiltProgram.run(["classify", "--model", model.path, String(folder)])
        let found = try rows.decodedLines(Row.self)
        #expect(found.map(\.path) == [folder + "a\n\u{1B}.jpg", folder + "\\xE9.jpg"])
        #expect(found.map(\.pathBytes) == [nil, Data(prefix + names[1]).base64EncodedString()])

        let output = String(folder) + String(pathBytes: [0xE8]) + ".csv"
        let table = try await BuiltProgram.run(["classify", "--model", model.path, "-o", output, bad])
        #expect(table.status == 0 && table.output.contains("\\xE8.csv: 1 image,"), "\(table.errors)")
        var status = stat()
        #expect(stat(output.systemPath, &status) == 0)
    }

    @Test("An image and a list of paths come from standard input, links are followed if asked, and each only once")
    func standardInput() async throws {
        let model = try await ImportedModel.classifier()
        let scratch = try Scratch()
        let photo = try scratch.write(TestFixtures.bytes(picture), to: "outside/a.jpg")
        let list = try scratch.write(Array("\(photo)\0\(photo)\0".utf8), to: "list")
        let one = try await BuiltProgram.run(["classify", "--model", model.path, "-"], input: photo)
        #expect(try one.decodedLines(Row.self).map(\.path) == ["-"] && one.status == 0)
        let many = try await BuiltProgram.run(
            ["classify", "--model", model.path, "--files-from", "-", "-0", photo], input: list)
        #expect(try many.decodedLines(Row.self).map(\.path) == [photo, photo, photo])
        for arguments in [["-", "-"], ["-", "--files-from", "-"], [], ["-0", photo], [photo, "--resume"]] {
            #expect(
                try await BuiltProgram.run(["classify", "--model", model.path] + arguments, input: photo).status == 64)
        }
        try FileManager.default.createDirectory(atPath: scratch.path("photos"), withIntermediateDirectories: true)
        for (name, target) in [("all", "../outside"), ("loop", ".")] {
            try FileManager.default.createSymbolicLink(
                atPath: scratch.path("photos/\(name)"), withDestinationPath: target)
        }
        let npy = scratch.path("a.npy")
        let line = ["--model", model.path, "-o", npy, scratch.path("photos")]
        await #expect(throws: CommandFailure.self) { try await embed(line) }
        #expect(try await embed(line + ["--follow-links"]) == .success)
        #expect(try String(contentsOfFile: npy + ".paths", encoding: .utf8) == scratch.path("photos/all/a.jpg\n"))
    }

    @Test("A folder's images are those of --formats; another format is refused by its bytes, whatever it is called")
    func formats() async throws {
        let model = try await ImportedModel.classifier()
        let scratch = try Scratch()
        for file in ["palette.gif", "rgb.bmp", "lossy.webp"] {
            _ = try scratch.write(TestFixtures.bytes("images/formats/" + file), to: "photos/" + file)
        }
        let misnamed = try scratch.write(TestFixtures.bytes("images/formats/rgb.bmp"), to: "a.gif")
        let line = ["classify", "--model", model.path, scratch.path("photos")]
        let all = try await BuiltProgram.run(line)
        #expect(try all.decodedLines(Row.self).count == 3 && all.status == 0, "\(all.errors)")
        let some = try await BuiltProgram.run(line + [misnamed, "--formats", "webp,gif"])
        #expect(try some.decodedLines(Row.self).count == 2 && some.status == 1)
        #expect(some.errors.contains("1 skipped: 1 not .webp or .gif"), "\(some.errors)")
        #expect(some.errors.contains("this is a BMP image; send WebP or GIF"), "\(some.errors)")
    }
}

/// How many records a progress file holds, by their lengths.
private struct ProgressFileContents {
    var records = 0

    init(_ data: Data) throws {
        let bytes = [UInt8](data)
        var place = try #require(bytes.firstIndex(of: 0x0A)) + 1
        while place < bytes.count {
            place += 21 + (0..<4).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) }
            records += 1
        }
        #expect(place == bytes.count)
    }
}
