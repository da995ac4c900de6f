import Arguments
import Console
import Extraction
import FeatureService
import Glibc
import ReverseODE
import Tensor
import UntrustedText

/// `headwater embed`: the embeddings of many image files.
enum EmbedCommand: Subcommand {
    enum Normalization: String, CaseIterable, Sendable { case none, l2 }

    private static let output = Option(
        "output", short: "o", optional: .file,
        help: "The file to write. The default is standard output, except for npy.")
    private static let format = Option(
        "format", optional: .choice("FORMAT", of: RowFormat.Embeddings.self),
        help: "The output format. The default follows the output's file name; for standard output it is jsonl.")
    private static let normalization = Option(
        "normalize", .choice("NORM", of: Normalization.self), default: .none,
        help: "l2 scales every embedding to length 1.")

    private static let shard = Option(
        "shard",
        .described(
            "K/N", as: Shard.self,
            rule: "the number of the part, from 0, and of all parts, at most \(Shard.limit), such as 0/4 to 3/4"),
        default: .whole,
        help: "Process only part K (counted from 0) of N parts of the list of images. N processes together process the "
            + "whole list.")
    private static let keepsOutput = Option(
        flag: "keep-output", help: "Do nothing if the output already exists, whatever it contains.")

    private static let streams = Option(
        flag: "stream",
        help:
            "Read images from standard input and write embeddings to standard output, both in frames, for programs that "
            + "run this command.")

    static let command = Command(
        name: "embed", abstract: "write the embeddings of image files",
        discussion: """
            Runs the reverse pass on every image and writes the embeddings at the taps, in the order of the paths. The images \
            of a folder are sorted by path. Without --at and --from, the model's default tap is used.

            npy is a NumPy matrix with one row per image. With several taps, their columns follow each other, all places of \
            the first time first. The file OUTPUT\(PathList.suffix) has the path of each row, one per line. If a path has a \
            line break or begins with a backslash, its line begins with a backslash, and \\\\, \\n and \\r stand for a \
            backslash, a line feed and a carriage return. jsonl has one object per image with its path and taps. csv has a \
            line of column names, then one line per image. A path that isn't UTF-8 is written unchanged; jsonl has it in \
            base64, as pathBytes.

            If an image is damaged or can't be read, standard error names it, the output has no row for it, and the exit \
            status is 1. With --damaged fail, the command ends instead. The last line says what was written.

            Outputs appear complete or not at all. Until then, OUTPUT\(ProgressFile.suffix) holds the results so far. After an \
            interruption, a kill or a power failure, the same command continues from there and gives the same bytes as an \
            uninterrupted run. If the size or modification time of an image has changed, that image and all after it are \
            computed again.

            With --shard, each process handles a contiguous part of all images. The concatenation of jsonl or csv outputs is \
            the whole output; deploy/concatenate joins npy outputs. The folders must not change meanwhile. If you repeat the \
            commands with --keep-output, only the missing parts are computed.

            With --stream, standard input and output consist of frames: one byte that says what it is, the lengths of the \
            name and of the content as little-endian 32-bit numbers, the name and the content. The command writes H, a \
            JSON document about the model, the taps and the window. It then answers each image I, in their order, with V, \
            the embeddings as little-endian f32, or with E, the reason why there is none. A client may have as many images \
            unanswered as the window says. At the end of input, the exit status is 0.
            """,
        options: [[output, format]] + BulkOptions.images + [
            TapOptions.options, OptionGroup("Taps", [normalization]),
            OptionGroup("Division of work", [shard, keepsOutput, streams]),
        ] + BulkOptions.computation,
        positionals: [BulkOptions.paths],
        examples: [
            "Embed all images in a folder:": "headwater embed photos -o photos.npy",
            "Four taps of one image:": "headwater embed --at 1,0.9375 --from middle,up.1 a.jpg",
            "The first quarter of a folder:": "headwater embed photos --shard 0/4 -o photos-0.npy",
            "A list of files:": "find photos -name '*.jpg' -print0 | headwater embed --files-from - -0 -o photos.npy",
            "An image on standard input:": "headwater embed - <photo.jpg",
            "Images and embeddings in frames:": "headwater embed --stream <frames >answers",
        ])

    static let isInterruptible = true

    @MainActor
    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        if try arguments[streams] { return try await stream(arguments) }
        let output = try arguments[output]
        let format = try format(arguments, output)
        if try arguments[keepsOutput] {
            guard let output else {
                throw UsageError(
                    "applies to a file, not to standard output", at: arguments.place(of: keepsOutput),
                    remedy: "name a file with -o")
            }
            guard access(output.systemPath, F_OK) != 0 else {
                Terminal.report("headwater: \(output) already exists and is kept")
                return .success
            }
        }
        let computation = try Computation(arguments)
        let shard = try arguments[shard]
        let images = try BulkOptions.run(arguments, output: output, shard: shard)
        let extraction = try await BulkOptions.extraction(arguments, computation)
        let model = extraction.served.model
        let taps = try TapOptions.taps(arguments, of: model)
        let resolved = try taps.map { try model.resolve($0) }
        let normalization = try arguments[normalization]
        let names = resolved.map { "\($0.name) \($0.dimension)" }
        return try await images.run(
            ImageRun.Job(
                activity: "embedding", request: FeatureRequest(taps: taps), output: output,
                format: RowFormat(format, of: resolved, hasHeader: shard.isFirst, hasUnitLength: normalization == .l2),
                settings: [
                    "the command": "embed", "--format": format.rawValue, "--normalize": normalization.rawValue,
                    "the taps": names.joined(separator: ", "),
                ],
                contents: "\(resolved.count) \(resolved.count == 1 ? "tap" : "taps") "
                    + "(\(names.joined(separator: ", "))), \(resolved.reduce(0) { $0 + $1.dimension }) numbers per image"
            ),
            extraction)
    }

    @MainActor
    private static func stream(_ arguments: ParsedArguments) async throws -> ExitStatus {
        try arguments.refuse(
            [output, format, shard, keepsOutput], "has no effect with --stream, which writes frames to standard output",
            remedy: "leave out one of them")
        try BulkOptions.refuseImages(arguments)
        let extraction = try await BulkOptions.extraction(arguments, try Computation(arguments))
        let normalization = try arguments[normalization]
        let stream = try EmbedStream(
            extraction, taps: try TapOptions.taps(arguments, of: extraction.served.model),
            hasUnitLength: normalization == .l2, normalization: normalization.rawValue)
        try await stream.run(from: .standardInput, to: .standardOutput)
        return .success
    }

    private static func format(_ arguments: ParsedArguments, _ output: String?) throws -> RowFormat.Embeddings {
        let given = try arguments[format]
        guard let output else {
            try arguments.require(
                given != .npy, of: format, "npy can't go to standard output", remedy: "name a file with -o")
            return given ?? .jsonl
        }
        let suffix = output.split(separator: ".").last.flatMap { RowFormat.Embeddings(rawValue: $0.lowercased()) }
        guard let format = given ?? suffix else {
            throw UsageError(
                "\(UsageError.quoted(output)) doesn't end in .npy, .jsonl or .csv",
                at: arguments.place(of: Self.output), remedy: "rename it or give --format")
        }
        return format
    }
}
