import Arguments
import Console
import FeatureService
import ImagePipeline
import Synchronization
import Training
import UntrustedText

#if canImport(Glibc)
    import Glibc
#endif

/// Computes the features of the images that a command was given and writes them; damaged images are reported and left
/// out.
@MainActor
struct ImageRun {
    nonisolated static let resume = Option(
        flag: "resume",
        help: "Continue an interrupted run of the same output, and fail if that run had other options. If not "
            + "given, the run is continued if the options are the same, and started again otherwise. --no-resume always "
            + "starts again.")

    /// The options that every command of this kind has.
    nonisolated static let specifications = [
        resume.specification, ImageInputs.filesFrom.specification, ImageInputs.endsInZero.specification,
        DataOptions.damaged.specification, DataOptions.followsLinks.specification,
    ]

    /// What a command writes, and what rows depend on.
    struct Job {
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
    }

    private var images: ImageInputs
    private let damage: DataOptions.Damaged
    private let continuation: ProgressFile.Continuation
    private let asksToResume: Bool

    /// Looks the images up.
    ///
    /// - Parameter shard: which of them to run. Which there are in all, every shard finds alike, in the same order.
    /// - Throws: `CommandFailure` with status `unreadableInput` if there is none in all.
    init(_ arguments: ParsedArguments, output: String?, shard: Shard = .whole) throws {
        let isGiven = arguments.source(of: Self.resume) != nil
        asksToResume = try arguments[Self.resume]
        continuation = asksToResume ? .required : isGiven ? .never : .ifSame
        guard !asksToResume || output != nil else {
            throw UsageError(
                "applies to a file, not to standard output", at: arguments.place(of: Self.resume),
                remedy: "name a file with -o")
        }
        damage = try arguments[DataOptions.damaged]
        images = try ImageInputs(arguments)
        for error in images.unreadable { Terminal.report("headwater: \(error)") }
        guard !images.paths.isEmpty else {
            throw CommandFailure(
                status: .unreadableInput,
                description:
                    "there are no images to read (\(images.skipped)); name \(ImageFormat.names) files or folders")
        }
        if images.skipped.count > 0 { Terminal.report("headwater: in folders, \(images.skipped)") }
        images.restrict(to: shard)
    }

    /// Runs all images through the model.
    ///
    /// - Returns: the exit status: 1 if an image or a path was bad.
    func run(_ job: Job, _ extraction: FeatureExtraction, _ arguments: ParsedArguments) async throws -> ExitStatus {
        let writer = try writer(job, extraction, arguments)
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
            bytes: { index in
                // Before the file is read: what changes it while it is read makes the row that of another image.
                fingerprints.put(images.fingerprint(at: first + index), for: first + index)
                return try images.bytes(at: first + index)
            }
        ) { place, result in
            let index = first + place
            let fingerprint = fingerprints.take(index)
            switch result {
            case .success(let features): try writer.append(images.paths[index], features, fingerprint: fingerprint)
            case .failure(let problem):
                let message = problem.located(at: images.paths[index])
                guard damage == .skip else { throw CommandFailure(status: .unusableData, description: message) }
                bar.report("headwater: skipped: \(message)")
                try writer.skip(message, fingerprint: fingerprint)
            }
            bar.update(index + 1)
        }
    }

    private func writer(
        _ job: Job, _ extraction: FeatureExtraction, _ arguments: ParsedArguments
    ) throws -> any FeatureWriter {
        guard let output = job.output else { return try StandardOutputWriter(job.format) }
        var settings = job.settings
        settings["the model"] = extraction.served.version.label
        settings["--precision"] = try arguments[KernelChoice.precision].rawValue
        settings["--kernels"] = try KernelChoice.kernels(arguments).name
        settings["--exact-decode"] = "\(try arguments[FeatureExtraction.exactDecode])"
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
        } else if asksToResume {
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

extension ImageTrouble {
    /// With the image's path in front, unless it is there already.
    func located(at path: String) -> String {
        let isLocated = [path, printable(path)].contains { description.hasPrefix($0) }
        return isLocated ? description : "\(path): \(description)"
    }
}
