import Arguments
import Console
import FeatureService
import ImagePipeline

#if canImport(Glibc)
    import Glibc
#endif

/// `headwater classify`: the classes of many image files.
enum ClassifyCommand {
    enum Format: String, CaseIterable, Sendable { case jsonl, csv }

    private static let output = Option(
        "output", short: "o", optional: .file, help: "The file to write. The default is standard output.")
    private static let format = Option(
        "format", optional: .choice("FORMAT", of: Format.self),
        help: "The output format. The default is csv if the output's name ends in .csv, otherwise jsonl.")
    private static let top = Option(
        "top", .integer(in: 1...100_000), default: 1, help: "The number of classes an image, most probable first.")

    static let command = Command(
        name: "classify", abstract: "write the most probable classes of image files",
        discussion: """
            Runs the reverse pass on every image and classifies it, in the order of the paths. The images of a folder are \
            sorted by path. The model must have a head.

            jsonl has one object an image with its path and classes. csv has one line a class: path, rank from 1, index of \
            the logit, label (empty if the model has none), probability.

            If an image is damaged or can't be read, standard error names it, the output has no row for it, and the exit \
            status is 1. With --damaged fail, the command ends instead. The last line says what was written.

            The output appears complete or not at all. Until then, OUTPUT\(ProgressFile.suffix) holds the results so far; \
            after an interruption, the same command continues from there.
            """,
        options: [output.specification, format.specification] + ImageRun.specifications + [
            top.specification, ModelSource.option.specification,
            FeatureExtraction.batch.specification,
            FeatureExtraction.exactDecode.specification, KernelChoice.option.specification,
            KernelChoice.precision.specification, KernelChoice.workers.specification,
        ],
        positionals: [ImageInputs.paths.specification],
        examples: [
            Command.Example(line: "headwater classify a.jpg b.png", effect: "Classify two images:"),
            Command.Example(
                line: "headwater classify --top 3 photos -o photos.csv", effect: "A table of a folder's images:"),
        ])

    /// A class of an image.
    struct RankedClass: Encodable, Equatable {
        let index: Int
        let label: String?
        let probability: Double
    }

    private struct Row: Encodable {
        let path: String
        let pathBytes: String?
        let classes: [RankedClass]
    }

    @MainActor
    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        try await Interruption.cancelling { try await classify(arguments) }
    }

    @MainActor
    private static func classify(_ arguments: ParsedArguments) async throws -> ExitStatus {
        let output = try arguments[output]
        let top = try arguments[top]
        let format = try arguments[format] ?? (output?.lowercased().hasSuffix(".csv") == true ? .csv : .jsonl)
        let kernels = try KernelChoice.kernels(arguments)
        let images = try ImageRun(arguments, output: output)
        let extraction = try await FeatureExtraction(
            arguments, kernels: kernels, pool: try KernelChoice.pool(arguments))
        let configuration = extraction.served.configuration
        guard configuration.head != nil else {
            throw CommandFailure(
                status: .unusableData,
                description:
                    "the model \(configuration.name) is pretrained only and has no head; 'headwater embed' works")
        }
        return try await images.run(
            ImageRun.Job(
                activity: "classifying", request: FeatureRequest(taps: [], wantsLogits: true), output: output,
                format: rowFormat(format, configuration.labels, top: top),
                settings: ["the command": "classify", "--format": format.rawValue, "--top": "\(top)"],
                contents: "\(top) \(top == 1 ? "class" : "classes") an image"),
            extraction, arguments)
    }

    @MainActor
    private static func rowFormat(_ format: Format, _ labels: [String]?, top: Int) -> RowFormat {
        switch format {
        case .jsonl:
            RowFormat(layout: .text(header: [])) { path, features in
                let classes = ranked(features.logits ?? [], labels, top: top)
                let path = PathText(path)
                return try TextRow.json(Row(path: path.text, pathBytes: path.bytes, classes: classes))
            }
        case .csv:
            RowFormat(layout: .text(header: TextRow.csv(path: "path", ["rank", "index", "label", "probability"]))) {
                path, features in
                ranked(features.logits ?? [], labels, top: top).enumerated().flatMap { rank, found in
                    TextRow.csv(
                        path: path,
                        ["\(rank + 1)", "\(found.index)", found.label ?? "", found.probability.description])
                }
            }
        }
    }

    /// The most probable classes, first come first among equals.
    static func ranked(_ logits: [Float], _ labels: [String]?, top: Int) -> [RankedClass] {
        let greatest = Double(logits.max() ?? 0)
        let weights = logits.map { exp(Double($0) - greatest) }
        let sum = weights.reduce(0, +)
        let order = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }
        return order.prefix(top).map { index in
            RankedClass(index: index, label: labels?[index], probability: weights[index] / sum)
        }
    }
}
