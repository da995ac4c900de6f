import FeatureService
import Training

/// Computes the features of the image files that a command was given and hands them to a writer; bad files are reported
/// and left out.
@MainActor
struct ImageRun {
    nonisolated static let paths = Positional(
        "PATHS", repeated: .file, help: "Image files, or folders that are searched with all they hold.")

    private let paths: [String]
    /// Arguments that led to nothing readable.
    private let unreadable: Int

    /// Looks the images up.
    ///
    /// - Parameter shard: which of them to run. Which there are in all, every shard finds alike, in the same order.
    /// - Throws: `CommandFailure` with status `unreadableInput` if there is none in all.
    init(_ arguments: ParsedArguments, shard: Shard = .whole) throws {
        let files = ImageFiles(try arguments[Self.paths])
        for error in files.unreadable { HeadwaterProgram.complain("headwater: \(error)") }
        guard !files.paths.isEmpty else {
            throw CommandFailure(
                status: .unreadableInput,
                description: "there are no images to read (\(files.skipped)); name JPEG or PNG files or folders")
        }
        if files.skipped.count > 0 { HeadwaterProgram.complain("headwater: in folders, \(files.skipped)") }
        paths = Array(files.paths[shard.range(in: files.paths.count)])
        unreadable = files.unreadable.count
    }

    /// Runs all images through the model.
    ///
    /// - Returns: the exit status: 1 if an image or a path was bad.
    func run(
        _ activity: String, _ extraction: FeatureExtraction, _ request: FeatureRequest, into writer: some FeatureWriter
    ) async throws -> ExitStatus {
        let paths = paths
        let bar = ProgressBar(activity, of: paths.count)
        defer { bar.erase() }
        var failed = unreadable
        try await extraction.run(
            count: paths.count, request,
            bytes: { try ImageFiles.bytes(of: paths[$0], maximumBytes: FeatureExtraction.maximumBytes) }
        ) { index, result in
            do {
                try writer.append(paths[index], try result.get())
            } catch let trouble as ImageTrouble {
                failed += 1
                bar.complain("headwater: \(trouble.located(at: paths[index]))")
            }
            bar.update(index + 1)
        }
        try writer.commit()
        bar.erase()
        if failed > 0 { HeadwaterProgram.complain("headwater: \(failed) of \(paths.count) failed and were left out") }
        return failed == 0 ? .success : .negative
    }
}

extension ImageTrouble {
    /// With the image's path in front, unless it is there already.
    func located(at path: String) -> String { description.hasPrefix(path) ? description : "\(path): \(description)" }
}
