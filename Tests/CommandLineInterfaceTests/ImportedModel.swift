import Foundation
import TestBench
import TestFixtures
import Testing

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
