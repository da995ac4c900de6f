import CheckpointFormats
import FlowModel
import Foundation
import ModelImport
import Tensor
import TestFixtures

@testable import ReverseODE

/// A golden case: a checkpoint of the reference implementation and what the reference computes from it.
struct GoldenModel {
    static let names = ["icfm32", "otcfm32-cutoff", "gvp64-cutoff", "icfm64-cutoff", "pretrained-only-ddp"]

    let name: String
    let model: ReversibleModel
    let expected: SafetensorsFile
    let pool: WorkerPool

    /// What `NAME.json` says.
    private struct Description: Decodable {
        struct UNet: Decodable {
            let num_heads: Int
        }
        let path: ProbabilityPath
        let image_size: Int
        let t_span: Int
        let t_cutoff: Int?
        let unet: UNet
    }

    /// - Parameter gridRefinement: steps that each step of the case's grid is divided into; needs a grid without cutoff.
    init(
        _ name: String, solver: Solver = .euler, workers: Int = 2, gridRefinement: Int = 1,
        precision: Precision = .f32
    ) throws {
        self.name = name
        let description = try JSONDecoder().decode(
            Description.self, from: Data(TestFixtures.bytes("models/\(name).json")))
        var settings = CheckpointImport.Settings(
            name: name, imageSize: description.image_size, path: description.path,
            grid: TimeGridConfiguration(
                count: (description.t_span - 1) * gridRefinement + 1, cutoff: description.t_cutoff))
        settings.heads = description.unet.num_heads
        settings.solver = solver
        let checkpoint = try CheckpointImport(
            PyTorchArchive(path: TestFixtures.path("models/\(name).pt")), settings: settings)
        let pool = WorkerPool(count: workers)
        self.pool = pool
        model = try ReversibleModel(configuration: checkpoint.configuration, precision: precision, pool: pool) {
            try checkpoint.weights($0)
        }
        expected = try SafetensorsFile(path: TestFixtures.path("models/\(name).expected.safetensors"))
    }

    /// The reference's numbers for image `n`.
    func expected(_ key: String, image n: Int, count: Int) throws -> [Float] {
        Array(try expected.floats(of: key)[(n * count)..<((n + 1) * count)])
    }

    /// The reference's state of image `n` after `step` steps.
    func expectedState(step: Int, image n: Int) throws -> [Float] {
        let count = model.stateCount
        let offset = (step * 3 + n) * count
        return Array(try expected.floats(of: "trajectory")[offset..<(offset + count)])
    }

    /// One of the three golden inputs.
    func input(_ n: Int) throws -> [Float] { try expected("input", image: n, count: model.stateCount) }

    /// The places of which the reference's activation means are known.
    var activationPlaces: [String] {
        expected.tensors.map(\.name).filter { $0.hasPrefix("unet_mean.") }.map { String($0.dropFirst(10)) }
    }

    func integrator(capacity: Int, kernels: Kernels = .best) -> ReverseIntegrator {
        ReverseIntegrator(model: model, capacity: capacity, kernels: kernels, pool: pool)
    }
}

/// ‖a − b‖ / ‖b‖.
func relativeError(_ a: [Float], _ b: [Float]) -> Double {
    guard a.count == b.count else { return .infinity }
    var difference = 0.0
    var norm = 0.0
    for (x, y) in zip(a, b) {
        difference += (Double(x) - Double(y)) * (Double(x) - Double(y))
        norm += Double(y) * Double(y)
    }
    return norm == 0 ? (difference == 0 ? 0 : .infinity) : (difference / norm).squareRoot()
}
