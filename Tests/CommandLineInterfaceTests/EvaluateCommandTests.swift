import Arguments
import Foundation
import Tensor
import TestBench
import TestFixtures
import Testing
import Training

@testable import CommandLineInterface
@testable import Evaluation
@testable import Extraction

/// Class folders of fixture images in a temporary folder.
private struct ClassFolders {
    let scratch: Scratch
    var path: String { scratch.path("data") }

    init(_ classes: [String]) throws {
        scratch = try Scratch()
        for (index, name) in classes.enumerated() {
            for image in ["rgb-32x32.jpg", "gray-77x55.png", "palette-100x100.png"][...(index % 3)] {
                try scratch.write(TestFixtures.bytes("images/\(image)"), to: "data/\(name)/\(index)-\(image)")
            }
        }
    }
}

@Suite("headwater evaluate")
struct EvaluateCommandTests {
    private static func report(_ arguments: [String], status: Int32 = 0) async throws -> EvaluationReport {
        let outcome = try await BuiltProgram.run(["evaluate", "--json"] + arguments)
        try #require(outcome.status == status, "\(outcome.errors)")
        return try JSONDecoder().decode(EvaluationReport.self, from: Data(outcome.output.utf8))
    }

    @Test("Measures how far samples are from images, and two halves of the images from each other")
    func samples() async throws {
        let model = try await ImportedModel.pretrained()
        let data = try ClassFolders(["a", "b", "c", "d", "e", "f"])
        let line = [
            "--data", data.path, "--model", model.path, "--knn", "0", "--samples", "4", "--embedding-model", model.path,
        ]
        let report = try await Self.report(line + ["--seed", "3"])
        let found = try #require(report.samples)
        #expect((found.samples, found.images, found.seed, found.evaluations) == (4, 8, 3, 32))
        #expect(found.distance > found.realDistance && found.realDistance > 0)
        let again = try await Self.report(line + ["--seed", "3", "--batch", "2", "--workers", "1"])
        #expect(abs(try #require(again.samples).distance - found.distance) < 1e-4 * found.distance)
        let other = try await Self.report(line + ["--seed", "4"])
        #expect(other.samples?.distance != found.distance && other.samples?.realDistance == found.realDistance)
        #expect(report.text.contains("squared Fréchet distance between 4 samples and as many images"))
        #expect(report.text.contains("\nreal     "))
        #expect(!report.text.contains("\ntime "), "nothing of the images was measured")
        let outcome = try await BuiltProgram.run(["evaluate"] + line)
        for warning in ["too many for a reliable distance", "the evaluated model also computes the embedding"] {
            #expect(outcome.errors.contains(warning), "\(outcome.errors)")
        }
    }

    @Test("Measures how far images are from what they were after a pass to the end of the grid and back")
    func roundTrips() async throws {
        let model = try await ImportedModel.pretrained()
        let data = try ClassFolders(["a", "b", "c"])
        let line = ["--data", data.path, "--model", model.path, "--knn", "0", "--round-trips"]
        let one = try #require(try await Self.report(line + ["1"]).roundTrips)
        #expect((one.images, one.time, one.evaluations) == (1, 0.6, 4))
        #expect(one.meanAbsoluteError == one.largestMeanAbsoluteError && one.relativeError > 0)
        let report = try await Self.report(line + ["3", "--batch", "2"])
        let three = try #require(report.roundTrips)
        #expect(three.images == 3 && three.largestMeanAbsoluteError > three.meanAbsoluteError)
        #expect(report.text.contains("of 3 images to time 0.6 and back, 4 evaluations each"))
        let tooMany = try await BuiltProgram.run(["evaluate"] + line + ["7"])
        #expect(tooMany.status == 64 && tooMany.errors.contains("give at most 6"), "\(tooMany.errors)")
    }

    @Test(
        "Refuses samples that can't be compared",
        arguments: [
            (["--samples", "7"], "give at most 6"), (["--seed", "2"], "give --samples"),
            (["--embedding-model", "x"], "give --samples"), (["--samples", "1"], "'1' is not accepted"),
            (["--samples", "2", "--embedding-model", "nowhere"], "can't open nowhere"),
        ])
    func wrongSamples(options: [String], message: String) async throws {
        let model = try await ImportedModel.pretrained()
        let data = try ClassFolders(["a", "b", "c", "d", "e", "f"])
        let outcome = try await BuiltProgram.run(["evaluate", "--data", data.path, "--model", model.path] + options)
        #expect(outcome.status != 0 && outcome.errors.contains(message), "\(outcome.errors)")
    }

    @Test("With --noise, accuracies are the same for a seed whatever the batch, and the head is refused")
    func noise() async throws {
        let model = try await ImportedModel.pretrained()
        let data = try ClassFolders(["a", "b", "c", "d", "e", "f"])
        let line = [
            "--data", data.path, "--model", model.path, "--no-head", "--from", "middle", "--train", data.path,
            "--probe",
            "--knn", "1",
        ]
        let first = try await Self.report(line + ["--noise", "1", "--batch", "2"])
        #expect(first.images == 12 && first.neighbours.count == 1)
        let again = try await Self.report(line + ["--noise", "1", "--workers", "1"])
        #expect(first.neighbours == again.neighbours)
        // At noise, an image would find itself by its noise alone if both sets had the same.
        let noise = try await Self.report([
            "--data", data.path, "--train", data.path, "--model", model.path, "--no-head", "--knn", "1", "--noise", "1",
            "--at", "end", "--from", "state",
        ])
        #expect(noise.neighbours[0].accuracy < 1)
        let classifier = try await ImportedModel.classifier()
        let head = try await BuiltProgram.run([
            "evaluate", "--data", data.path, "--noise", "1", "--model", classifier.path,
        ])
        #expect(head.status == 64 && head.errors.contains("add --no-head"))
    }

    @Test("Counts what the head says, class folders matched with labels by name")
    func countsHead() async throws {
        let model = try await ImportedModel.classifier()
        let data = try ClassFolders(["class 7", "class 2", "class 4"])
        let report = try await Self.report(["--data", data.path, "--model", model.path, "--knn", "0"])
        #expect((report.images, report.failed, report.neighbours.count) == (6, 0, 0))

        struct Row: Decodable {
            struct Ranked: Decodable { let label: String }
            let path: String
            let classes: [Ranked]
        }
        let predictions = data.scratch.path("predictions.csv")
        let text = try await BuiltProgram.run([
            "evaluate", "--data", data.path, "--model", model.path, "--knn", "0", "--predictions", predictions,
        ])
        let classified = try await BuiltProgram.run(["classify", "--model", model.path, "--top", "5", data.path])
        let ranks = try classified.decodedLines(Row.self).map { row in
            row.classes.firstIndex { row.path.contains("/\($0.label)/") }
        }
        #expect(report.top1 == Double(ranks.count { $0 == 0 }) / 6)
        #expect(report.top5 == Double(ranks.count { $0 != nil }) / 6)

        // Every image as classify has it, and what follows of each class.
        let rows = try classified.decodedLines(Row.self)
        let lines = try String(contentsOfFile: predictions, encoding: .utf8).split(separator: "\n").map {
            $0.split(separator: ",").map(String.init)
        }
        #expect(
            lines[0].prefix(6).joined(separator: ",")
                == "path,label,label_rank,label_probability,predicted_1,probability_1")
        #expect(lines.count == 7 && lines.allSatisfy { $0.count == 14 })
        for (line, (row, rank)) in zip(lines.dropFirst(), zip(rows, ranks)) {
            #expect(row.path.hasSuffix("/" + line[0]) && line[0].hasPrefix(line[1] + "/"))
            #expect(stride(from: 4, to: 14, by: 2).map { line[$0] } == row.classes.map(\.label))
            #expect(rank == nil ? Int(line[2])! > 5 : line[2] == "\(rank! + 1)")
        }
        let classes = try #require(report.classes)
        #expect(classes.map(\.images).reduce(0, +) == 6)
        for found in classes {
            let own = lines.dropFirst().filter { $0[1] == found.label }
            #expect(
                found.images == own.count
                    && found.top1 == (own.isEmpty ? nil : Double(own.count { $0[4] == $0[1] }) / Double(own.count)))
            for prediction in found.predictions {
                #expect(prediction.images == own.count { $0[4] == prediction.label })
            }
            let taken = lines.dropFirst().filter { $0[4] == found.label }
            #expect(
                found.precision == (taken.isEmpty ? nil : Double(taken.count { $0[1] == $0[4] }) / Double(taken.count)))
        }
        #expect(text.output.contains(ClassAccuracy.table(classes)))
    }

    @Test("Up to 20 classes are a matrix, more of them a list of mistakes; a class without images has no accuracy")
    func tables() {
        func row(_ index: Int, _ images: Int, _ taken: [Int: Int]) -> ClassAccuracy {
            ClassAccuracy(
                label: "class \(index)", index: index, images: images,
                top1: images > 0 ? Double(taken[index] ?? 0) / Double(images) : nil,
                precision: index == 0 ? 0.875 : nil,
                predictions: taken.sorted { $0.value > $1.value }.map {
                    .init(label: "class \($0.key)", index: $0.key, images: $0.value)
                })
        }
        let matrix = ClassAccuracy.table([row(0, 8, [0: 7, 2: 1]), row(2, 0, [:])])
        #expect(
            matrix == """
                     class    images  top-1 %  precision %     1   2
                   1 class 0       8     87.5         87.5     7   1
                   2 class 2       0        -            -     0   0

                """)
        let many = ClassAccuracy.table((0..<21).map { row($0, 9, [$0: 4, 30: 3, 31: 2]) })
        #expect(many.contains("mistaken for\n") && many.contains("44.4         87.5    class 30 3, class 31 2\n"))
    }

    @Test(
        "An option that would change nothing is refused by its name",
        arguments: [
            ["--train", "DATA"], ["--at", "end"], ["--from", "middle"], ["--train-labels", "t.csv"],
            ["--predictions", "p.csv"],
        ])
    @MainActor
    func refusesIdleOptions(option: [String]) async throws {
        let data = try ClassFolders(["class 0", "class 1"])
        let model = data.scratch.path("tiny.safetensors")
        try TinyModel.write(to: model, seed: 1, hasHead: option[0] != "--predictions")
        let measured = option[0] == "--predictions" ? ["--knn", "1"] : ["--knn", "0"]
        let line =
            ["evaluate", "--data", data.path, "--model", model] + measured
            + option.map { $0 == "DATA" ? data.path : $0 }
        let arguments = try parsed(line)
        let error = try await #require(throws: UsageError.self) { _ = try await EvaluateCommand.run(arguments) }
        #expect(error.source == option[0], "\(error)")
    }

    @Test("The nearest neighbour among the images themselves is the image; classes are matched by name")
    func searchesTrain() async throws {
        let model = try await ImportedModel.pretrained()
        let data = try ClassFolders(["a", "b"])
        let train = try Scratch()
        // Further classes, so that the same names have other indices.
        for (name, image) in [
            ("0", "rgb-120x80.png"), ("a", "rgb-32x32.jpg"), ("b", "gray-77x55.png"), ("c", "tiny-1x1.jpg"),
        ] {
            try train.write(TestFixtures.bytes("images/\(image)"), to: "\(name)/1-\(image)")
        }
        let report = try await Self.report([
            "--data", data.path, "--train", train.folder.path, "--model", model.path, "--knn", "1", "--from",
            "pooled,middle",
        ])
        #expect(report.top1 == nil, "there is no head")
        #expect(report.neighbours.map(\.place) == ["pooled", "middle"])
        // b holds one image of each kind: its first is a's.
        #expect(report.neighbours.allSatisfy { $0.accuracy == 2.0 / 3 && $0.references == 4 && !$0.leavesOneOut })
    }

    @Test("Images are their own neighbours' judges when none are given, and a limit takes some of every class")
    func leavesOneOut() async throws {
        let model = try await ImportedModel.classifier()
        let data = try ClassFolders(["x", "class 1", "y"])
        let report = try await Self.report([
            "--data", data.path, "--model", model.path, "--no-head", "--limit", "4", "--knn", "3",
        ])
        #expect(report.images == 4 && report.top1 == nil)
        #expect(report.neighbours.map(\.leavesOneOut) == [true])
    }

    @Test("An image that can't be read is named, left out of the counts, and makes the status 1")
    func leavesOut() async throws {
        let model = try await ImportedModel.classifier()
        let data = try ClassFolders(["class 0", "class 1"])
        try data.scratch.write(
            Array(TestFixtures.bytes("images/rgb-32x32.jpg").prefix(600)), to: "data/class 1/cut.jpg")
        let report = try await Self.report(["--data", data.path, "--model", model.path], status: 1)
        #expect((report.images, report.failed) == (3, 1))
        let text = try await BuiltProgram.run(["evaluate", "--data", data.path, "--model", model.path])
        #expect(text.errors.contains("class 1/cut.jpg: the image is cut off"))
        #expect(text.output.contains("3, and 1 left out") && text.output.contains("top-1"))
        let corrupted = try await Self.report(
            ["--data", data.path, "--model", model.path, "--knn", "0", "--corruption", "fog:1"], status: 1)
        #expect(corrupted.failed == 1 && corrupted.corruptions?.failed == 0, "it is not counted again")
    }

    @Test("An image that can't be used only once it is corrupted is left out of those counts, which say so")
    @MainActor
    func leavesOutSpoilt() async throws {
        let model = try await ImportedModel.classifier()
        let data = try ClassFolders(["class 0", "class 1"])
        let line = ["evaluate", "--data", data.path, "--model", model.path]
        let invocation = try HeadwaterProgram.program.invocation(line, environment: [:])
        guard case .run(_, let arguments) = invocation else {
            Issue.record("no command: \(invocation)")
            return
        }
        let extraction = try await BulkOptions.extraction(arguments, try Computation(arguments))
        let set = EvaluationSet(try LabelledImages(at: data.path), limit: nil, .skip(share: 1))
        // Stands for one whose features overflow: it is unusable now, and was not when the set was opened.
        try data.scratch.write([0], to: "data/class 1/1-rgb-32x32.jpg")
        let selection = try #require(CorruptionSelection("fog"))
        let report = try await CorruptionReport(
            selection, set, extraction, logitIndices: [0, 1])
        #expect(report.rows.count == 5 && report.failed == 5)
        #expect(report.text.contains("left out after corruption: 5\n"))
    }

    @Test("Folders that aren't classes of the model are named, and how to do without")
    func refusesClasses() async throws {
        let model = try await ImportedModel.classifier()
        let data = try ClassFolders(["class 0", "kitten"])
        let outcome = try await BuiltProgram.run(["evaluate", "--data", data.path, "--model", model.path])
        #expect(outcome.status == 65 && outcome.output.isEmpty)
        #expect(outcome.errors.contains("no class named \"kitten\"") && outcome.errors.contains("--no-head"))
    }

    @Test("Corrupted images are classified in every family and severity, always alike, with the mean")
    func measuresCorruptions() async throws {
        let model = try await ImportedModel.classifier()
        let data = try ClassFolders(["class 0", "class 1", "class 5"])
        let arguments = ["--data", data.path, "--model", model.path, "--knn", "0", "--corruption"]
        let found = try #require(try await Self.report(arguments + ["all"]).corruptions)
        #expect(found.rows.count == 55 && Set(found.rows.map(\.corruption)).count == 11)
        #expect(found.rows.allSatisfy { 0 <= $0.top1 && $0.top1 <= $0.top5! && $0.top5! <= 1 })
        #expect(abs(found.meanTop1 - found.rows.reduce(0) { $0 + $1.top1 } / 55) < 1e-12)
        let fog = try #require(try await Self.report(arguments + ["fog"]).corruptions)
        #expect(fog.rows == found.rows.filter { $0.corruption == "fog" })
        let text = try await BuiltProgram.run(["evaluate"] + arguments + ["jpeg:2"])
        #expect(text.output.contains("top-5 %") && text.output.contains("jpeg"))
        #expect(!text.output.contains("fog") && !text.output.contains("mean  "))
    }

    @Test(
        "An unknown corruption or severity is refused, and so is any without a head",
        arguments: ["rain", "fog:0", "all:6", "fog:"])
    func refusesCorruptions(name: String) async throws {
        let unknown = try await BuiltProgram.run(["evaluate", "--data", "/nowhere", "--corruption", name])
        #expect(unknown.status == 64 && unknown.errors.contains("gaussian-noise"))
        let data = try ClassFolders(["class 0"])
        let headless = try await BuiltProgram.run(["evaluate", "--data", data.path, "--no-head", "--corruption", "fog"])
        #expect(headless.status == 64 && headless.errors.contains("corruptions need the head"))
    }
}
