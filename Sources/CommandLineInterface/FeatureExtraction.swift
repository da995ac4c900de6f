import Arguments
import Console
import FeatureService
import ImagePipeline
import Machine
import ReverseODE
import Tensor

/// Runs any number of images through a model in this process, as the service would: images are read and decoded ahead of
/// the network and join its batches at every step. Only a bounded number of them is in memory at a time.
@MainActor
struct FeatureExtraction {
    nonisolated static let batch = Option(
        "batch", .integer(in: 1...256), default: 8, help: "The most images evaluated together.", group: "Computation")

    nonisolated static let exactDecode = Option(
        flag: "exact-decode",
        help: "Decode every image at its full size. By default, a JPEG of more than 4 megapixels is decoded at a "
            + "half, a quarter or an eighth of its size if that leaves at least 4 times the size that the model sees.",
        group: "Computation")

    /// The largest image file that is read, in bytes.
    nonisolated static let maximumBytes = ImageLimits().maximumBytes

    /// The model that computes.
    let served: ServedModel
    private let service: FeatureService
    private let readers: BlockingPool
    /// Images in memory: one batch under way, one waiting decoded, and what is being read and decoded.
    private let window: Int

    /// Loads a model.
    ///
    /// Model, precision, batch and decoding are those that a command's arguments say.
    init(_ arguments: ParsedArguments, kernels: Kernels, pool: WorkerPool) async throws {
        let batch = try arguments[Self.batch]
        served = try ModelSource.load(
            try arguments[ModelSource.option], precision: try arguments[KernelChoice.precision], kernels: kernels,
            pool: pool, batch: batch)
        var configuration = FeatureServiceConfiguration()
        configuration.batchLimit = batch
        configuration.decoding = try DecodingMode(arguments)
        configuration.decoders = ProcessorBudget.available()
        window = 2 * batch + 2 * configuration.decoders
        configuration.queueLimit = window
        configuration.waitLimit = nil
        readers = BlockingPool(width: configuration.decoders)
        service = FeatureService(configuration: configuration, kernels: kernels, pool: pool, events: ServiceEvents())
        await service.activate(served)
    }

    /// Computes the features of `count` images.
    ///
    /// - Parameters:
    ///   - bytes: reads an image; called on threads of its own.
    ///   - deliver: takes the images' features in their order, or why there are none.
    /// - Throws: `CancellationError`, and whatever `deliver` throws.
    func run(
        count: Int, _ request: FeatureRequest, bytes: @escaping @Sendable (Int) throws -> [UInt8],
        deliver: (Int, Result<ImageFeatures, ImageTrouble>) throws -> Void
    ) async throws {
        try await run(count: count, request, inputs: { .encoded(try bytes($0)) }, deliver: deliver)
    }

    /// As above, of images that may have been decoded already.
    ///
    /// - Parameter inputs: reads an image, and decodes it if something is to be done with it; called on threads of its own.
    func run(
        count: Int, _ request: FeatureRequest, inputs: @escaping @Sendable (Int) throws -> FeatureInput,
        deliver: (Int, Result<ImageFeatures, ImageTrouble>) throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: (Int, Result<ImageFeatures, ImageTrouble>).self) { group in
            var finished: [Int: Result<ImageFeatures, ImageTrouble>] = [:]
            var started = 0
            var delivered = 0
            while delivered < count {
                while started < min(count, delivered + window) {
                    let (index, service, readers) = (started, service, readers)
                    group.addTask {
                        let read = await readers.run { Result { try inputs(index) } }
                        return (index, try await Self.features(of: read, request, by: service))
                    }
                    started += 1
                }
                guard let (index, result) = try await group.next() else { break }
                finished[index] = result
                while let result = finished.removeValue(forKey: delivered) {
                    try deliver(delivered, result)
                    delivered += 1
                }
            }
        }
    }

    private nonisolated static func features(
        of input: Result<FeatureInput, any Error>, _ request: FeatureRequest, by service: FeatureService
    ) async throws -> Result<ImageFeatures, ImageTrouble> {
        do {
            let response = try await service.features(of: [try input.get()], request)
            let features = try response.results[0].get()
            // Activations may overflow although the state, which the service looks at, has not.
            guard (features.values + [features.logits ?? []]).allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
                return .failure(ImageTrouble(.notFinite))
            }
            return .success(features)
        } catch FeatureServiceError.cancelled {
            throw CancellationError()
        } catch let error as FeatureServiceError {
            throw CommandFailure(status: .internalFault, description: "the model can't be run: \(error)")
        } catch let failure as ImageFailure {
            return .failure(ImageTrouble(failure))
        } catch let error as ImageError {
            return .failure(ImageTrouble(.image(error)))
        } catch {
            return .failure(ImageTrouble(description: "\(error)"))
        }
    }
}

/// Why one of many images has no features.
struct ImageTrouble: Error, Sendable, CustomStringConvertible {
    let description: String

    init(description: String) { self.description = description }

    init(_ failure: ImageFailure) {
        description =
            switch failure {
            case .image(let error): error.message
            case .inputCount(let found, let expected): "the input has \(found) numbers; this model's has \(expected)"
            case .notFinite: "its features are not finite: the model can't represent it"
            }
    }
}

extension DecodingMode {
    /// What `--exact-decode` asks for.
    init(_ arguments: ParsedArguments) throws { self = try arguments[FeatureExtraction.exactDecode] ? .exact : .scaled }
}
