import Console
import FeatureService
import ImagePipeline
import Machine
import ReverseODE
import Tensor
import UntrustedText

/// Runs any number of images through a model in this process, as the service would: images are read and decoded ahead of
/// the network and join its batches at every step. Only a bounded number of them is in memory at a time.
@MainActor
package struct FeatureExtraction {
    package nonisolated static let maximumBytes = ImageLimits().maximumBytes

    package let served: ServedModel
    package let decoding: DecodingMode
    package let formats: ImageFormats
    package let computation: Computation
    private let service: FeatureService
    private let readers: BlockingPool
    /// The most images in memory: a batch that is evaluated, one that waits decoded, and those that are read and decoded.
    let window: Int

    package init(
        _ served: ServedModel, batch: Int, decoding: DecodingMode, formats: ImageFormats, on computation: Computation
    ) async {
        self.served = served
        self.decoding = decoding
        self.formats = formats
        self.computation = computation
        var configuration = FeatureServiceConfiguration()
        configuration.batchLimit = batch
        configuration.decoding = decoding
        configuration.imageLimits.formats = formats
        configuration.decoders = ProcessorBudget.available()
        window = 2 * batch + 2 * configuration.decoders
        configuration.queueLimit = window
        configuration.waitLimit = nil
        readers = BlockingPool(width: configuration.decoders)
        service = FeatureService(
            configuration: configuration, kernels: computation.kernels, pool: computation.pool, events: ServiceEvents())
        await service.activate(served)
    }

    /// Computes the features of `count` images.
    ///
    /// - Parameters:
    ///   - inputs: reads an image, and decodes it if something is to be done with it; called on threads of its own.
    ///   - deliver: takes the images' features in their order, or why there are none.
    /// - Throws: `CancellationError`, and whatever `deliver` throws.
    package func run(
        count: Int, _ request: FeatureRequest, inputs: @escaping @Sendable (Int) throws -> FeatureInput,
        deliver: (Int, Result<ImageFeatures, UnusableImage>) throws -> Void
    ) async throws {
        try await run(
            request,
            next: { [readers] turn in
                turn < count ? (turn, await readers.run { Result { try inputs(turn) } }) : nil
            }, deliver: deliver)
    }

    /// Computes the features of images until there are no more.
    ///
    /// - Parameters:
    ///   - next: waits for an image and returns its place in the order, from 0, or nil if there are no more. It is called
    ///     for `window` images at the same time, with the number of calls before.
    ///   - deliver: takes the images' features in their order, or why there are none. Meanwhile, up to `window`
    ///     undelivered images are still waited for and computed.
    /// - Throws: `CancellationError`, and whatever `deliver` throws.
    func run(
        _ request: FeatureRequest,
        next: @escaping @Sendable (_ turn: Int) async -> (index: Int, input: Result<FeatureInput, any Error>)?,
        deliver: (Int, Result<ImageFeatures, UnusableImage>) throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: (Int, Result<ImageFeatures, UnusableImage>)?.self) { group in
            var finished: [Int: Result<ImageFeatures, UnusableImage>] = [:]
            var (started, delivered) = (0, 0)
            var isOver = false
            while true {
                while !isOver, started < delivered + window {
                    let (turn, service) = (started, service)
                    group.addTask {
                        guard let (index, input) = await next(turn) else { return nil }
                        return (index, try await Self.features(of: input, request, by: service))
                    }
                    started += 1
                }
                guard let outcome = try await group.next() else { break }
                guard let (index, result) = outcome else {
                    isOver = true
                    continue
                }
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
    ) async throws -> Result<ImageFeatures, UnusableImage> {
        do {
            let response = try await service.features(of: [try input.get()], request)
            return .success(try response.results[0].get())
        } catch FeatureServiceError.cancelled {
            throw CancellationError()
        } catch let error as FeatureServiceError {
            throw CommandFailure(.internalFault, "the model can't be run: \(error)")
        } catch let failure as ImageFailure {
            return .failure(UnusableImage(failure))
        } catch let error as ImageError {
            return .failure(UnusableImage(.image(error)))
        } catch let problem as UnusableImage {
            return .failure(problem)
        } catch {
            return .failure(UnusableImage(description: "\(error)"))
        }
    }
}

/// An image that has no features, and why.
package struct UnusableImage: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }

    init(_ failure: ImageFailure) {
        description =
            switch failure {
            case .image(let error): error.message
            case .inputCount(let found, let expected): "the input has \(found) numbers; this model's has \(expected)"
            case .notFinite: "its features are not finite: the model can't represent it"
            }
    }
}

extension UnusableImage {
    /// The description with the image's path in front, unless it begins with that already.
    package func located(at path: String) -> String {
        let isLocated = [path, printable(path)].contains { description.hasPrefix($0) }
        return isLocated ? description : "\(path): \(description)"
    }
}
