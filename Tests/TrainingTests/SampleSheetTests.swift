import FlowModel
import Foundation
import ImagePipeline
import ReverseODE
import Tensor
import TestFixtures
import Testing

@testable import Training

@Suite("Sheets of samples")
struct SampleSheetTests {
    private static let configuration = ModelConfiguration(
        name: "small", architecture: SmallRun.architecture, head: nil, path: .otcfm,
        grid: TimeGridConfiguration(count: 4), preprocessing: .reference(imageSize: 16))

    private static func sheet(count: Int = 3, workers: Int = 2) throws -> SampleSheet {
        try SampleSheet(
            of: configuration, count: count, seed: 4,
            on: Computation(kernels: .best, precision: .f32, pool: WorkerPool(count: workers)))
    }

    private static func folder(_ name: String, in folder: URL) throws -> URL {
        let path = folder.appending(path: name)
        try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
        return path
    }

    @Test("are drawn of every epoch's averaged weights, and change neither the weights nor the state by a bit")
    func neutral() throws {
        try withTemporaryFolder { folder in
            let (with, without) = (try Self.folder("with", in: folder), try Self.folder("without", in: folder))
            let (sheet, pool) = (try Self.sheet(), WorkerPool(count: 1))
            let run = try SmallRun(in: with)
            var drawn: [RGBImage] = []
            try run.run(
                epochs: 2,
                drawSamples: { trainer, epoch in
                    try sheet.write(trainer.weights, epoch: epoch, in: run.files.samples) {}
                    let model = try ReversibleModel(configuration: Self.configuration, pool: pool) {
                        trainer.weights(ModelFile.parameter(ofKey: $0))
                    }
                    let integrator = ReverseIntegrator(model: model, capacity: 1, kernels: .best, pool: pool)
                    let preprocessing = try Preprocessing(Self.configuration.preprocessing)
                    let images = integrator.images(0..<3, from: GenerationNoise(seed: 4)) {}
                    drawn.append(.sheet(of: images.map(preprocessing.picture(of:)), columns: 2))
                })
            let plain = try SmallRun(in: without)
            try plain.run(epochs: 2)
            #expect(run.weights == plain.weights)
            for name in ["state.safetensors", "log.csv"] {
                #expect(
                    try Data(contentsOf: with.appending(path: name)) == Data(contentsOf: without.appending(path: name)))
            }
            let written = try (1...2).map { epoch in
                let path = with.appending(path: "samples/epoch-000\(epoch).png")
                return try ImageDecoder.decode([UInt8](Data(contentsOf: path)))
            }
            #expect(written == drawn && written[0] != written[1])
        }
    }

    @Test("whose drawing is interrupted are drawn again by the run that goes on, which ends with the same bits")
    func interrupted() throws {
        try withTemporaryFolder { folder in
            let (whole, parts) = (try Self.folder("whole", in: folder), try Self.folder("parts", in: folder))
            let sheet = try Self.sheet()
            func draw(_ files: TrainingRun.Files, stopAt stop: Int? = nil) -> (Trainer, Int) throws -> Void {
                { trainer, epoch in
                    var steps = 0
                    try sheet.write(trainer.weights, epoch: epoch, in: files.samples) {
                        steps += 1
                        if steps == stop { throw CancellationError() }
                    }
                }
            }
            let straight = try SmallRun(in: whole)
            #expect(try straight.run(epochs: 1, drawSamples: draw(straight.files)) == .finished)
            let part = try SmallRun(in: parts)
            #expect(
                try part.run(
                    epochs: 1, keepModel: { _ in Issue.record("a model of an epoch that hasn't ended is kept") },
                    drawSamples: draw(part.files, stopAt: 2)) == .interrupted)
            #expect(!FileManager.default.fileExists(atPath: part.files.samples))
            let again = try SmallRun(in: parts)
            #expect(try again.run(epochs: 1, resumes: true, drawSamples: draw(again.files)) == .finished)
            for name in ["state.safetensors", "log.csv", "samples/epoch-0001.png"] {
                #expect(
                    try Data(contentsOf: whole.appending(path: name)) == Data(contentsOf: parts.appending(path: name)))
            }
        }
    }

    @Test("have as many images as are asked for, in parts if they are many, and say how many evaluations that takes")
    func parts() throws {
        let run = try withTemporaryFolder { try SmallRun(in: $0) }
        let sheet = try Self.sheet(count: 18)
        var evaluations = 0
        let picture = try sheet.draw(run.trainer.weights) { evaluations += 1 }
        #expect(evaluations == sheet.evaluations && evaluations == 6)
        let size = RGBImage.sheetSize(of: 18, width: 16, height: 16, columns: 5)
        #expect(picture.width == size.width && picture.height == size.height)
        #expect(picture == (try Self.sheet(count: 18, workers: 1).draw(run.trainer.weights) {}))
    }
}
