import Arguments
import Console
import Extraction
import ImagePipeline
import Tensor

/// The options of commands that run many images through a model.
enum BulkOptions {
    static let paths = Positional(
        "PATHS", repeated: .file, minimum: 0,
        help: "Image files, or folders, which are searched recursively; - is an image on standard input.")
    private static let filesFrom = Option(
        "files-from", optional: .file,
        help: "A file that lists more paths, one per line, which follow PATHS; - is standard input.")
    private static let endsInZero = Option(
        flag: "null", short: "0",
        help: "Paths in --files-from end in zero bytes, as find -print0 writes them, instead of line ends.")
    private static let resume = Option(
        optionalFlag: "resume",
        help: "--resume continues an interrupted run of the same output, and fails if that run had other options. "
            + "--no-resume always starts again. By default, the run continues if the options are the same, and starts "
            + "again otherwise.")
    static let batch = Option(
        "batch", .integer(in: 1...256), default: 8, help: "The most images evaluated together.")
    static let exactDecode = Option(
        flag: "exact-decode",
        help: "Decode every image at its full size. By default, a JPEG of more than 4 megapixels is decoded at a half, "
            + "a quarter or an eighth of its size if that leaves at least 4 times the size that the model sees.")

    /// Which images are read, and how.
    static let images: [OptionGroup] = [
        [resume],
        OptionGroup(
            "Images", [filesFrom, endsInZero, DataOptions.formats, DataOptions.damaged, DataOptions.followsLinks]),
    ]

    /// What runs them.
    static let computation = [
        ModelSource.options, OptionGroup("Computation", [batch, exactDecode]), Computation.options,
    ]

    /// Refuses to look up images for a command that gets them in frames.
    static func refuseImages(_ arguments: ParsedArguments) throws {
        try arguments.refuse(
            [resume, filesFrom, endsInZero, DataOptions.damaged, DataOptions.followsLinks],
            "applies to image files, and --stream reads images in frames", remedy: "leave out one of them")
        guard try arguments[paths].isEmpty else {
            throw UsageError(
                "image files can't be named together with --stream, which reads images in frames", at: "PATHS",
                remedy: "leave out one of them")
        }
    }

    /// Loads the model and what runs images through it.
    static func extraction(_ arguments: ParsedArguments, _ computation: Computation) async throws -> FeatureExtraction {
        let batch = try arguments[batch]
        return await FeatureExtraction(
            try ModelSource.load(try arguments[ModelSource.option], computation, batch: batch), batch: batch,
            decoding: try arguments[exactDecode] ? .exact : .scaled, formats: try DataOptions.formats(arguments),
            on: computation)
    }

    /// Looks the images up.
    ///
    /// - Parameter output: where rows go; nil for standard output.
    @MainActor
    static func run(_ arguments: ParsedArguments, output: String?, shard: Shard = .whole) throws -> ImageRun {
        let resumes = try arguments[resume]
        try arguments.require(
            resumes != true || output != nil, of: resume, "applies to a file, not to standard output",
            remedy: "name a file with -o")
        let (named, list, isZero) = (try arguments[paths], try arguments[filesFrom], try arguments[endsInZero])
        guard list != nil || !named.isEmpty else {
            throw UsageError("is missing", at: "PATHS", remedy: "name image files or folders, or give --files-from")
        }
        try arguments.require(
            list != nil || !isZero, of: endsInZero, "applies to a list of paths",
            remedy: "give --files-from, or leave it out")
        guard ([list].compactMap(\.self) + named).count(where: { $0 == ImageInputs.standardInput }) < 2 else {
            throw UsageError(
                "standard input can be read only once", at: "PATHS",
                remedy: "give - only once; ./- is a file of that name")
        }
        return try ImageRun(
            try ImageInputs(
                named, list: list, endsInZero: isZero, following: try DataOptions.links(arguments),
                formats: try DataOptions.formats(arguments)),
            shard: shard, skipsDamaged: try arguments[DataOptions.damaged] == .skip,
            resumes.map { $0 ? .required : .never } ?? .ifSame)
    }
}
