import Foundation
import ImagePipeline
import TestBench
import TestFixtures
import Testing

@Suite("headwater sample")
struct SampleCommandTests {
    private static func picture(_ path: String) throws -> RGBImage {
        try ImageDecoder.decode([UInt8](Data(contentsOf: URL(filePath: path))))
    }

    @Test("writes images that depend on the seed and their number alone, in files and on a sheet")
    func images() async throws {
        let model = try await ImportedModel.pretrained()
        let scratch = model.scratch
        func sample(_ options: String...) async throws -> String {
            let outcome = try await BuiltProgram.run(["sample", model.path, "--t-span", "4", "--seed", "5"] + options)
            try #require(outcome.status == 0, "\(outcome.errors)")
            return outcome.output
        }
        let said = try await sample("-n", "5", "-o", scratch.path("a/b"), "--batch", "2", "--workers", "2")
        #expect(said.contains("5 images") && said.contains("3 evaluations each (euler, 3 steps from 0.0 to 1.0)"))
        _ = try await sample("-n", "3", "-o", scratch.path("c"), "--batch", "8", "--workers", "1")
        let names = ["000000.png", "000001.png", "000002.png", "000003.png", "000004.png"]
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path("a/b")).sorted() == names)
        for name in names.prefix(3) {
            #expect(
                FileManager.default.contentsEqual(
                    atPath: scratch.path("a/b/\(name)"), andPath: scratch.path("c/\(name)")))
        }
        _ = try await sample("-n", "5", "-o", scratch.path("sheet.png"), "--columns", "3")
        let sheet = try Self.picture(scratch.path("sheet.png"))
        #expect(sheet == .sheet(of: try names.map { try Self.picture(scratch.path("a/b/\($0)")) }, columns: 3))
        #expect(sheet.width == 3 * 34 - 2 && sheet.height == 2 * 34 - 2)
    }

    @Test("goes to noise on a grid of its own if the model's ends before, and by the solver asked for")
    func ownGrid() async throws {
        let model = try await ImportedModel.pretrained()
        let outcome = try await BuiltProgram.run([
            "sample", model.path, "-n", "1", "--solver", "heun", "-o", model.scratch.path("one.png"),
        ])
        #expect(outcome.output.contains("64 evaluations each (heun, 32 steps from 0.0 to 1.0)"), "\(outcome.errors)")
    }

    @Test(
        "says what is wrong with what it is given",
        arguments: [
            (["--columns", "2", "-o", "folder"], 64, "it is for a sheet"),
            (["-n", "1000000", "-o", "sheet.png"], 64, "give -o a folder"),
            (["-n", "0", "-o", "sheet.png"], 64, "'0' is not accepted"),
            (["nowhere.safetensors", "-o", "sheet.png"], 66, "can't open nowhere.safetensors"),
            (["-n", "4000", "-o", "/nonexistent/sheet.png"], 74, "create a file next to /nonexistent/sheet.png"),
            (["-n", "1", "--t-span", "2", "-o", "/proc/nothing"], 74, "the output folder can't be created"),
        ])
    func wrongInput(options: [String], status: Int32, message: String) async throws {
        let outcome = try await BuiltProgram.run(["sample"] + options)
        #expect(outcome.status == status && outcome.errors.contains(message), "\(outcome.errors)")
    }
}
