import Console
import Files
import FlowModel
import ImagePipeline
import ReverseODE
import Tensor

/// Images that weights under training make of noise, always of the same, so that sheets of different epochs can be compared.
package struct SampleSheet {
    private let configuration: ModelConfiguration
    private let preprocessing: Preprocessing
    private let count: Int
    private let noise: GenerationNoise
    private let computation: Computation

    /// The most images made together.
    private static let capacity = 16

    /// Describes a sheet.
    ///
    /// - Parameters:
    ///   - configuration: of the model that is trained, valid. Its own grid is taken if that reaches noise.
    ///   - count: how many images, at least 1.
    ///   - seed: of the noise.
    /// - Throws: `ConfigurationError`, or `Preprocessing.InvalidParameters`.
    package init(
        of configuration: ModelConfiguration, count: Int, seed: UInt64, on computation: Computation
    ) throws {
        precondition(count > 0)
        self.configuration = configuration.forGeneration()
        try self.configuration.validate()
        preprocessing = try Preprocessing(configuration.preprocessing)
        self.count = count
        noise = GenerationNoise(seed: seed)
        self.computation = computation
    }

    /// Evaluations of batches that a sheet takes.
    var evaluations: Int {
        let batches = (count + Self.capacity - 1) / Self.capacity
        return batches * TimeGrid(configuration).steps * configuration.solver.evaluationsPerStep
    }

    /// Draws a sheet.
    ///
    /// - Parameters:
    ///   - weights: gives a parameter's numbers by its key.
    ///   - beforeEachStep: called before every evaluation; what it throws is rethrown.
    func draw(_ weights: @escaping (String) -> [Float], beforeEachStep: () throws -> Void) throws -> RGBImage {
        let model = try ReversibleModel(
            configuration: configuration, kernels: computation.kernels, pool: computation.pool
        ) { weights(ModelFile.parameter(ofKey: $0)) }
        let integrator = ReverseIntegrator(
            model: model, capacity: min(count, Self.capacity), kernels: computation.kernels, pool: computation.pool)
        let images = try integrator.images(0..<count, from: noise, beforeEachStep: beforeEachStep)
        return .sheet(of: images.map(preprocessing.picture(of:)), columns: count.columnsOfSheet)
    }

    /// Draws the sheet of an epoch's weights and writes it to the folder, which is made if it isn't there.
    ///
    /// - Throws: `CommandFailure` or `FileError` if it can't be written, and what `beforeEachStep` throws.
    func write(
        _ weights: @escaping (String) -> [Float], epoch: Int, in folder: String, beforeEachStep: () throws -> Void
    ) throws {
        let sheet = try draw(weights, beforeEachStep: beforeEachStep)
        try OutputFolder.make(folder)
        let digits = String(epoch)
        var file = try AtomicFile(
            path: "\(folder)/epoch-\(String(repeating: "0", count: max(0, 4 - digits.count)))\(digits).png")
        try file.write(try sheet.png())
        try file.commit()
    }
}
