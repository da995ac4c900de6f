import Console
import FeatureService
import Files
import JSON
import ReverseODE
import Tensor

/// Answers frames of images with frames of embeddings, in the order of the images, until its input ends.
///
/// An image is unanswered from the time that the client has written its frame until the client has read the answer's. As
/// long as at most `window` images are unanswered, the stream reads on even if its output is full, so that a client may
/// write that many before it reads. Of further images it reads nothing, whatever the client writes.
@MainActor
package struct EmbedStream {
    /// What a client learns before it sends anything.
    private struct Hello: Encodable {
        struct Model: Encodable {
            let name: String
            let version: String
            let precision: String
        }
        struct Tap: Encodable {
            let time: Float
            let place: String
            let dimension: Int
        }
        let `protocol` = 1
        let model: Model
        let kernels: String
        let normalize: String
        let taps: [Tap]
        let window: Int
        let maximumBytes: Int
    }

    private let extraction: FeatureExtraction
    private let request: FeatureRequest
    private let hasUnitLength: Bool
    private let hello: Hello

    /// A stream of embeddings at `taps`, which the model has.
    ///
    /// - Parameters:
    ///   - hasUnitLength: whether every embedding is scaled to length 1.
    ///   - normalization: what the client is told about that.
    ///   - maximumBytes: the most bytes of an image.
    package init(
        _ extraction: FeatureExtraction, taps: [Tap], hasUnitLength: Bool, normalization: String,
        maximumBytes: Int = FeatureExtraction.maximumBytes
    ) throws {
        self.extraction = extraction
        self.hasUnitLength = hasUnitLength
        request = FeatureRequest(taps: taps)
        let served = extraction.served
        hello = Hello(
            model: Hello.Model(
                name: served.version.name, version: served.version.label, precision: served.model.precision.rawValue),
            kernels: extraction.computation.kernels.name, normalize: normalization,
            taps: try taps.map { tap in
                let tap = try served.model.resolve(tap)
                return Hello.Tap(time: tap.time, place: tap.place.description, dimension: tap.dimension)
            },
            window: extraction.window, maximumBytes: maximumBytes)
    }

    /// Answers all images.
    ///
    /// - Throws: `CommandFailure` if the input ends in something else than a whole frame, after all images before it
    ///   are answered, or if the output can't be written; `CancellationError`.
    package func run(from input: FileDescriptor, to output: FileDescriptor) async throws {
        let frames: FrameReader
        do throws(SystemError) {
            frames = try FrameReader(input, answers: output, maximumBytes: hello.maximumBytes)
        } catch {
            throw CommandFailure(.unavailable, "can't wait for standard input: \(error)")
        }
        try write(Frame.bytes(.hello, try JSONCoder.encode(hello)), to: output)
        try await extraction.run(request, next: { _ in await frames.next() }) { index, result in
            let name = frames.takeName(of: index)
            switch result {
            case .success(let features):
                let values = hasUnitLength ? features.values.map { $0.scaledToUnitLength() } : features.values
                try write(Frame.bytes(.vectors, name: name, NumPyArray.bytes(Array(values.joined()))), to: output)
            case .failure(let problem):
                try write(Frame.bytes(.error, name: name, Array(problem.description.utf8)), to: output)
            }
        }
        // What was cancelled while it waited for the client has failed to read as well.
        try Task.checkCancellation()
        if let failure = frames.failure {
            let status: ExitStatus =
                switch failure.cause {
                case .kind, .longName, .truncated: .unusableData
                case .unreadable: .unreadableInput
                case .abandoned: .unwritableOutput
                }
            throw CommandFailure(status, failure.description)
        }
    }

    private func write(_ frame: [UInt8], to output: FileDescriptor) throws {
        do throws(SystemError) { try output.write(frame) } catch {
            throw CommandFailure(.unwritableOutput, "can't write to standard output: \(error)")
        }
    }
}
