import Console
import FeatureService
import Glibc
import ImagePipeline
import Synchronization
import Training

/// Computes the features of the images that a command was given and writes them; damaged images are reported and left
/// out.
@MainActor
package struct ImageRun {
    /// What a command writes, and what rows depend on.
    package struct Job {
        /// What is being done, such as `embedding`.
        let activity: String
        let request: FeatureRequest
        /// Nil for standard output.
        let output: String?
        let format: RowFormat
        /// What rows depend on in addition to images and model, by the name that a message has for it.
        let settings: [String: String]
        /// What a row holds, for the line that tells what was written.
        let contents: String

        package init(
            activity: String, request: FeatureRequest, output: String?, format: RowFormat, settings: [String: String],
            contents: String
        ) {
            self.activity = activity
            self.request = request
            self.output = output
            self.format = format
            self.settings = settings
            self.contents = contents
        }
    }

    private var images: ImageInputs
    private let skipsDamaged: Bool
    private let continuation: ProgressFile.Continuation

    /// Reports what was passed over among the images.
    ///
    /// - Parameters:
    ///   - shard: which of the images to process. Every shard finds the same images in the same order.
    ///   - skipsDamaged: whether a damaged image is left out, or ends the command.
    ///   - continuation: whether to continue from the results of an interrupted run.
    /// - Throws: `CommandFailure` with status `unreadableInput` if there are no images at all.
    package init(
        _ images: ImageInputs, shard: Shard = .whole, skipsDamaged: Bool, _ continuation: ProgressFile.Continuation
    ) throws {
        self.images = images
        self.skipsDamaged = skipsDamaged
        self.continuation = continuation
        for error in images.unreadable { Terminal.report("headwater: \(error)") }
        guard !images.paths.isEmpty else {
            throw CommandFailure(
                .unreadableInput,
                "there are no images to read (\(images.skipped)); name \(images.formats.names) files or folders")
        }
        if images.skipped.count > 0 { Terminal.report("headwater: in folders, \(images.skipped)") }
        self.images.restrict(to: shard)
    }

    /// Runs all images through the model.
    ///
    /// - Returns: the exit status: 1 if an image or a path was bad.
    package func run(_ job: Job, _ extraction: FeatureExtraction) async throws -> ExitStatus {
        let writer = try writer(job, extraction)
        let bar = ProgressBar(job.activity, of: images.paths.count)
        defer { bar.erase() }
        bar.start(at: writer.count)
        do {
            try await fill(writer, job, extraction, bar)
        } catch let error as CancellationError {
            if let output = job.output, writer.count > 0 {
                bar.report(
                    "headwater: interrupted; \(output)\(ProgressFile.suffix) holds \(writer.count) of "
                        + "\(images.paths.count) images; repeat the command to continue")
            }
            throw error
        }
        try writer.commit(images.paths)
        bar.erase()
        report(job, writer, seconds: bar.elapsed / .seconds(1))
        return writer.rows == writer.count && images.unreadable.isEmpty ? .success : .negative
    }

    private func fill(
        _ writer: some FeatureWriter, _ job: Job, _ extraction: FeatureExtraction, _ bar: ProgressBar
    ) async throws {
        let (images, first) = (images, writer.count)
        let fingerprints = FingerprintsTaken()
        try await extraction.run(
            count: images.paths.count - first, job.request,
            inputs: { index in
                // Before the file is read: what changes it while it is read makes the row that of another image.
                fingerprints.put(images.fingerprint(at: first + index), for: first + index)
                return .encoded(try images.bytes(at: first + index))
            }
        ) { place, result in
            let index = first + place
            let fingerprint = fingerprints.take(index)
            switch result {
            case .success(let features): try writer.append(images.paths[index], features, fingerprint: fingerprint)
            case .failure(let problem):
                let message = problem.located(at: images.paths[index])
                guard skipsDamaged else { throw CommandFailure(.unusableData, message) }
                bar.report("headwater: skipped: \(message)")
                try writer.skip(message, fingerprint: fingerprint)
            }
            bar.update(index + 1)
        }
    }

    private func writer(_ job: Job, _ extraction: FeatureExtraction) throws -> any FeatureWriter {
        guard let output = job.output else { return try StandardOutputWriter(job.format) }
        var settings = job.settings
        settings["the model"] = extraction.served.version.label
        settings["--precision"] = extraction.served.model.precision.rawValue
        settings["--kernels"] = extraction.computation.kernels.name
        settings["--formats"] = extraction.formats.description
        settings["--exact-decode"] = "\(extraction.decoding == .exact)"
        let progress = try ProgressFile(of: output, settings: settings, continuation) { index in
            index < images.paths.count ? images.fingerprint(at: index) : nil
        }
        if !progress.differences.isEmpty {
            Terminal.report(
                "headwater: starting again, because \(progress.path) belongs to a run with other options: "
                    + progress.differences.joined(separator: "; "))
        } else if progress.count > 0 {
            Terminal.report("headwater: resuming after \(progress.count) of \(images.paths.count) images")
            try progress.forEach { _, outcome in
                if case .skipped(let reason) = outcome { Terminal.report("headwater: skipped: \(reason)") }
            }
        } else if continuation == .required {
            Terminal.report("headwater: there is no run to continue, so all images are processed")
        }
        return ResumableWriter(output, job.format, progress)
    }

    /// Says what was written: on standard output, unless the rows are there.
    private func report(_ job: Job, _ writer: some FeatureWriter, seconds: Double) {
        let skipped = writer.count - writer.rows + images.unreadable.count
        let text =
            "\(job.output ?? "standard output"): \(writer.rows) \(writer.rows == 1 ? "image" : "images"), \(job.contents), \(skipped) skipped, "
            + "\((seconds * 10).rounded() / 10) s"
        if job.output == nil { Terminal.report("headwater: \(text)") } else { Terminal.print(text) }
    }
}

/// Fingerprints of images on their way from the threads that read them.
private final class FingerprintsTaken: Sendable {
    private let waiting = Mutex<[Int: UInt64]>([:])

    func put(_ fingerprint: UInt64, for index: Int) { waiting.withLock { $0[index] = fingerprint } }

    func take(_ index: Int) -> UInt64 { waiting.withLock { $0.removeValue(forKey: index) } ?? 0 }
}
