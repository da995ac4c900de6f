import Arguments
import CheckpointFormats
import Console
import Files
import FlowModel
import Foundation
import HTTPServer
import ReverseODE
import Tensor
import TestBench
import TestFixtures
import Testing
import Training

@testable import CommandLineInterface
@testable import FeatureService
@testable import Machine

/// An error and what the program is to exit with for it.
struct StatusCase: Sendable {
    let error: any Error
    let status: Console.ExitStatus

    static let all = [
        Self(error: UsageError("", remedy: ""), status: .usage),
        Self(error: FileError(.unreadable, ""), status: .unreadableInput),
        Self(error: FileError(.unwritable, ""), status: .unwritableOutput),
        Self(error: CheckpointError(.malformed, ""), status: .unusableData),
        Self(error: CheckpointError(.limitExceeded, ""), status: .unusableData),
        Self(
            error: InsufficientMemory(
                name: "", neededBytes: 1, budget: MemoryBudget(availableBytes: 0, bound: "")), status: .unavailable),
        Self(error: ModelError.noConfiguration, status: .unusableData),
        Self(error: CheckpointRefusal.notFound(path: ""), status: .unreadableInput),
        Self(error: DataSetError("", kind: .unreadable), status: .unreadableInput),
        Self(error: DataSetError(""), status: .unusableData),
        Self(error: ServerError.cannotListen(""), status: .unavailable),
        Self(error: ServerError.tls(""), status: .unusableData),
        Self(error: ServerError.invalidConfiguration(""), status: .usage),
        Self(error: CommandFailure(.negative, ""), status: .negative),
        Self(error: CancellationError(), status: .internalFault),
    ]
}

@Suite("What is wrong is said where and how to mend it, with its exit status")
struct WrongInputTests {
    private static let checkpoint = TestFixtures.path("models/icfm32.pt")
    private static let image = TestFixtures.path("images/rgb-32x32.jpg")
    private static let importing = ["import", checkpoint, "--image-size", "32", "--path", "icfm"]

    @Test(
        "Command lines that can't be carried out",
        arguments: [
            ([], 64, "no command"), (["embedd", "x"], 64, "did you mean embed?"),
            (["embed", "--modle", "x"], 64, "did you mean --model?"), (["embed"], 64, "PATHS"),
            (["embed", image, "--format", "npy"], 64, "can't go to standard output"),
            (["embed", image, "-o", "a.txt"], 64, "doesn't end in .npy"),
            (["embed", image, "--at", "soon"], 64, "a time such as 0.75"),
            (["embed", image, "--from", "attic"], 64, "down.N"),
            (["embed", image, "--at", "0.3"], 64, "not on this model's grid"),
            (["embed", image, "--from", "down.99"], 64, "the last are down.5 and up.5"),
            (["classify", image, "--top", "0"], 64, "--top"),
            (["classify", image, "--kernels", "abacus"], 64, "scalar"),
            (["bench"], 64, "give 'headwater bench network', for example"),
            (["bench", "--model", "u32", "--batch", "8"], 64, "give 'headwater bench network' and"),
            (["bench", "--model", "u32", "--errors"], 64, "give 'headwater bench precision' and"),
            (["bench", "--profile"], 64, "give 'headwater bench profile' and"),
            (["bench", "--training=pretrain"], 64, "give 'headwater bench training' and"),
            (["bench", "--decode", image], 64, "give 'headwater bench decoding' and"),
            (["bench", "--serve"], 64, "give 'headwater bench served' and"),
            (["bench", "--write-model", "a", "--model", "u32"], 64, "give 'headwater bench write-model' and"),
            (["bench", "netwrk"], 64, "did you mean network?"),
            (["bench", "write-model", "u128", "-o", "a"], 64, "u32, u64, small"),
            (["evaluate"], 64, "--data"), (["evaluate", "--data", "x", "--knn", "-1"], 64, "--knn"),
            (importing + ["-o", "m.safetensors"], 64, "--t-span"),
            (importing + ["--t-span", "1", "-o", "m.safetensors"], 64, "--t-span"),
            (importing + ["--t-span", "8", "--t-cutoff", "7", "-o", "m.safetensors"], 65, "cutoff"),
            (importing + ["--t-span", "8", "--heads", "5", "-o", "m.safetensors"], 65, "heads"),
        ] as [([String], Int32, String)])
    func refuses(arguments: [String], status: Int32, part: String) async throws {
        let outcome = try await BuiltProgram.run(arguments)
        #expect(outcome.status == status, "\(outcome.errors)")
        #expect(outcome.errors.contains(part), "\(outcome.errors)")
        #expect(outcome.output.isEmpty)
    }

    @Test(
        "Files that aren't there",
        arguments: [
            ["embed", "/nonexistent/a.jpg"], ["classify", "/nonexistent"],
            ["bench", "decoding", "/nonexistent", "--seconds", "0"], ["evaluate", "--data", "/nonexistent"],
            ["embed", image, "--model", "/nonexistent/m.safetensors"], ["inspect", "/nonexistent/m.safetensors"],
            ["serve", "--port", "0", "--admin-port", "0", "--model", "/nonexistent/m.safetensors"],
            [
                "import", "/nonexistent.pt", "--image-size", "32", "--path", "gvp", "--t-span", "9", "-o",
                "m.safetensors",
            ],
        ])
    func missing(arguments: [String]) async throws {
        let outcome = try await BuiltProgram.run(arguments)
        #expect(outcome.status == 66)
        #expect(outcome.errors.contains("/nonexistent") && outcome.errors.contains("No such file or directory"))
    }

    @Test(
        "Files that are something else",
        arguments: [
            ["inspect", image], ["embed", image, "--model", checkpoint],
            ["serve", "--port", "0", "--admin-port", "0", "--model", image],
            ["import", image, "--image-size", "32", "--path", "icfm", "--t-span", "8", "-o", "m.safetensors"],
        ])
    func foreign(arguments: [String]) async throws {
        let outcome = try await BuiltProgram.run(arguments)
        #expect(outcome.status == 65, "\(outcome.errors)")
    }

    @Test("A model without a head can't classify, and says what it can do")
    func headless() async throws {
        let model = try await ImportedModel.pretrained()
        let outcome = try await BuiltProgram.run(["classify", "--model", model.path, Self.image])
        #expect(outcome.status == 65 && outcome.errors.contains("'headwater embed' works"))
    }

    @Test(
        "Where nothing can be written, the status is 74",
        arguments: [
            ["embed", image, "-o", "/nonexistent/a.npy"], ["embed", image, "-o", "/nonexistent/a.jsonl"],
            ["classify", image, "-o", "/nonexistent/a.csv"],
            importing + ["--t-span", "8", "-o", "/nonexistent/a.safetensors"],
        ])
    func unwritable(arguments: [String]) async throws {
        let outcome = try await BuiltProgram.run(arguments)
        #expect(outcome.status == 74, "\(outcome.errors)")
        #expect(outcome.errors.contains(try #require(arguments.last)))
    }

    @Test(
        "A variable is honoured by every command that has its flag, and outweighed by the flag",
        arguments: [
            ["embed", image], ["classify", image], ["evaluate", "--data", "/nonexistent"],
            ["bench", "network", "--seconds", "0", "--batch", "1"], ["serve", "--port", "0", "--admin-port", "0"],
        ])
    func kernelsVariable(arguments: [String]) async throws {
        let environment = ["HEADWATER_KERNELS": "abacus", "HEADWATER_MODEL": "/nonexistent/m", "HEADWATER_PORT": "x"]
        let refused = try await BuiltProgram.run(
            arguments, environment: environment.filter { $0.key != "HEADWATER_PORT" })
        #expect(refused.status == 64, "\(refused.errors)")
        #expect(refused.errors.contains("HEADWATER_KERNELS: this processor has no kernels 'abacus'"))
        #expect(!refused.errors.contains("warning"))
        let flagged = try await BuiltProgram.run(arguments + ["--kernels", "scalar"], environment: environment)
        #expect(flagged.status == 66, "\(flagged.errors)")
        #expect(flagged.errors.contains("/nonexistent") && !flagged.errors.contains("warning"))
    }

    @Test("What belongs to the service disturbs no health check of it")
    func healthBesideService() async throws {
        let outcome = try await BuiltProgram.run(
            ["health"],
            environment: [
                "HEADWATER_PORT": "1", "HEADWATER_MAX_BATCH": "4", "HEADWATER_KERNELS": "avx2",
                "HEADWATER_API_KEY_FILE": "/run/keys", "HEADWATER_MODEL": "/models/m.safetensors",
            ])
        #expect(
            outcome.status == 1 && outcome.errors == "nothing answers at 127.0.0.1:1: Connection refused\n",
            "\(outcome.errors)")
    }

    @Test("Every error has the status of what it means", arguments: StatusCase.all)
    func exitStatus(of example: StatusCase) {
        #expect(Console.ExitStatus(of: example.error) == example.status)
    }

    @Test("A failed import leaves no file")
    func importIsAtomic() async throws {
        let scratch = try Scratch()
        let labels = try scratch.write(Array("one\ntwo\n".utf8), to: "labels.txt")
        let outcome = try await BuiltProgram.run(
            Self.importing + ["--t-span", "8", "--labels", labels, "-o", scratch.path("m.safetensors")])
        #expect(outcome.status == 65 && outcome.errors.contains("has 2 entries for 10 classes"))
        #expect(try scratch.names() == ["labels.txt"])
    }

    @Test("What import was told is what inspect says, for people and for programs")
    func inspects() async throws {
        let model = try await ImportedModel.classifier()
        let json = try await BuiltProgram.run(["inspect", "--json", model.path])
        let description = try JSONDecoder().decode(ModelDescription.self, from: Data(json.output.utf8))
        #expect(description.name == "otcfm32-cutoff" && description.labels == ImportedModel.classes)
        #expect((description.pass.count, description.pass.cutoff, description.pass.evaluations) == (10, 6, 3))
        let text = try await BuiltProgram.run(["inspect", "--plan", model.path])
        #expect(text.output.contains(description.sha256) && text.output.contains("input_blocks.0.0"))
        #expect(text.output.contains("batch 8: the model and its activations take up to "))
        let idle = try await BuiltProgram.run(["inspect", "--batch", "4", model.path])
        #expect(idle.status == 64 && idle.errors.contains("give --plan"))
    }

    @Test(
        "Help and version go to standard output",
        arguments: [["help"], ["--version"], ["embed", "--help"], ["help", "serve"]])
    func helps(arguments: [String]) async throws {
        let outcome = try await BuiltProgram.run(arguments)
        #expect(outcome.status == 0 && outcome.output.contains("headwater") && outcome.errors.isEmpty)
    }

    @Test("A service that isn't there isn't healthy")
    func health() async throws {
        // Port 1 is tcpmux, which has been out of use for decades.
        let outcome = try await BuiltProgram.run(["health", "--port", "1"])
        #expect(outcome.status != 0 && outcome.errors.contains("127.0.0.1:1: Connection refused"))
    }
}
