import Arguments
import Console
import Extraction
import FeatureService
import Tensor

/// `headwater classify`: the classes of many image files.
enum ClassifyCommand: Subcommand {
    private static let output = Option(
        "output", short: "o", optional: .file, help: "The file to write. The default is standard output.")
    private static let format = Option(
        "format", optional: .choice("FORMAT", of: RowFormat.Classes.self),
        help: "The output format. The default is csv if the output's name ends in .csv, otherwise jsonl.")
    private static let top = Option(
        "top", .integer(in: 1...100_000), default: 1, help: "The number of classes per image, most probable first.")

    static let command = Command(
        name: "classify", abstract: "write the most probable classes of image files",
        discussion: """
            Runs the reverse pass on every image and classifies it, in the order of the paths. The images of a folder are \
            sorted by path. The model must have a head.

            jsonl has one object per image with its path and classes. csv has one line per class: path, rank from 1, index of \
            the logit, label (empty if the model has none), probability.

            If an image is damaged or can't be read, standard error names it, the output has no row for it, and the exit \
            status is 1. With --damaged fail, the command ends instead. The last line says what was written.

            The output appears complete or not at all. Until then, OUTPUT\(ProgressFile.suffix) holds the results so far; \
            after an interruption, the same command continues from there.
            """,
        options: [[output, format]] + BulkOptions.images + [[top]] + BulkOptions.computation,
        positionals: [BulkOptions.paths],
        examples: [
            "Classify two images:": "headwater classify a.jpg b.png",
            "A table of a folder's images:": "headwater classify --top 3 photos -o photos.csv",
        ])

    static let isInterruptible = true

    @MainActor
    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        let output = try arguments[output]
        let top = try arguments[top]
        let format = try arguments[format] ?? (output?.lowercased().hasSuffix(".csv") == true ? .csv : .jsonl)
        let computation = try Computation(arguments)
        let images = try BulkOptions.run(arguments, output: output)
        let extraction = try await BulkOptions.extraction(arguments, computation)
        let configuration = extraction.served.configuration
        guard configuration.head != nil else {
            throw CommandFailure(
                .unusableData,
                "the model \(configuration.name) is pretrained only and has no head; 'headwater embed' works")
        }
        return try await images.run(
            ImageRun.Job(
                activity: "classifying", request: FeatureRequest(taps: [], wantsLogits: true), output: output,
                format: RowFormat(format, labels: configuration.labels, top: top),
                settings: ["the command": "classify", "--format": format.rawValue, "--top": "\(top)"],
                contents: "\(top) \(top == 1 ? "class" : "classes") per image"),
            extraction)
    }
}
