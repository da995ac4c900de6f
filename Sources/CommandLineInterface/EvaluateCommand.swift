import FeatureService
import FoundationEssentials
import ImagePipeline
import ReverseODE
import Tensor
import Training

/// `headwater evaluate`: a model's accuracy on labelled images.
enum EvaluateCommand {
    private static let data = Option(
        "data", required: .file, help: "A folder, or an uncompressed tar archive, of class folders of images.")
    private static let neighbours = Option(
        "knn", .integer(in: 0...1000), default: 20,
        help: "How many neighbours vote; 0 for no k-nearest-neighbour accuracy.")
    private static let train = Option(
        "train", optional: .file,
        help:
            "Labelled images, as --data, to look for neighbours among; if not given, each image's neighbours are sought "
            + "among the others of --data.")
    private static let limit = Option(
        "limit", optional: .integer(in: 1...1_000_000_000), help: "Use at most N images of a data set, evenly spaced.")
    private static let head = Option(
        flag: "head", default: true, help: "Measure the accuracy of the model's head, if it has one.")
    private static let json = Option(flag: "json", help: "Print JSON.")

    static let command = Command(
        name: "evaluate", abstract: "measure a model's accuracy on labelled images",
        discussion: """
            The class of an image is the name of the folder that it lies in, as in test/airplane/0000.jpg. Measured are \
            the top-1 and top-5 accuracy of the head, whose class names the folders must bear, and for every tap the \
            accuracy of a majority vote of the k nearest neighbours by cosine, which needs no head.

            An image that can't be used is reported and left out of all counts, and the exit status is then 1.
            """,
        options: [
            data.specification, train.specification, limit.specification, neighbours.specification, head.specification,
            json.specification,
        ] + TapOptions.specifications + [
            ModelSource.option.specification, FeatureExtraction.batch.specification,
            FeatureExtraction.exactDecode.specification, KernelChoice.option.specification,
            KernelChoice.precision.specification, KernelChoice.workers.specification,
        ],
        examples: [
            Command.Example(line: "headwater evaluate --data test.tar", effect: "How good is the bundled model?"),
            Command.Example(
                line: "headwater evaluate --no-head --from pooled,middle --data flowers --train flowers-train",
                effect: "How well do its embeddings separate classes that it has never seen?"),
        ])

    @MainActor
    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        try await Interruption.cancelling { try await evaluate(arguments) }
    }

    @MainActor
    private static func evaluate(_ arguments: ParsedArguments) async throws -> ExitStatus {
        let kernels = try KernelChoice.kernels(arguments)
        let pool = try KernelChoice.pool(arguments)
        let limit = try arguments[limit]
        let test = EvaluationSet(try LabelledImages(at: try arguments[data]), limit: limit)
        let references = try arguments[train].map { EvaluationSet(try LabelledImages(at: $0), limit: limit) }
        let extraction = try await FeatureExtraction(
            arguments, kernels: kernels, pool: pool)
        let model = extraction.served.model
        let k = try arguments[neighbours]
        let taps = k > 0 ? try TapOptions.taps(arguments, of: model) : []
        let measuresHead = try arguments[head] && model.head != nil
        guard measuresHead || k > 0 else {
            throw UsageError(
                "there is nothing to measure", at: arguments.place(of: neighbours),
                remedy: "give --knn 20, or a model with a head")
        }
        let logitIndices = measuresHead ? try Self.logitIndices(test.images.classes, model) : nil

        let measured = try await test.measure(extraction, taps: taps, logitIndices: logitIndices, as: "evaluating")
        let known = try await references?.measure(
            extraction, taps: taps, logitIndices: nil, classes: test.images.classes, as: "embedding")
        guard measured.images > 0, known?.images != 0 else {
            throw CommandFailure(status: .unusableData, description: "none of the images could be used")
        }
        var report = EvaluationReport(extraction.served, kernels, measured)
        report.failed += known?.failed ?? 0
        try report.measureNeighbours(k, of: measured, among: known, on: pool)
        print(try arguments[json] ? try report.json() : report.text, terminator: "")
        return report.failed == 0 ? .success : .negative
    }

    private static func logitIndices(_ classes: [String], _ model: ReversibleModel) throws -> [Int] {
        do {
            return try EvaluationLabels(classes: classes, labels: model.configuration.labels).logitIndices
        } catch {
            throw CommandFailure(status: .unusableData, description: "\(error); --no-head measures the neighbours only")
        }
    }
}

/// A data set, or an evenly spaced part of it.
@MainActor
struct EvaluationSet {
    /// What an extraction gives of it.
    struct Measured {
        var tally = EvaluationTally()
        /// For each tap, the embeddings of all images that could be used.
        var embeddings: [LabelledEmbeddings]
        let taps: [ResolvedTap]
        let hasHead: Bool
        var images = 0
        var failed = 0
        var seconds = 0.0
    }

    let images: LabelledImages
    private let indices: [Int]

    init(_ images: LabelledImages, limit: Int?) {
        self.images = images
        let total = images.items.count
        let count = min(limit ?? total, total)
        indices = (0..<count).map { $0 * total / count }
    }

    /// Runs all its images through the model.
    ///
    /// - Parameters:
    ///   - logitIndices: the logit of each class; nil to leave the head out.
    ///   - classes: class names that labels refer to, the set's own if not given; names not among them get new labels.
    func measure(
        _ extraction: FeatureExtraction, taps: [Tap], logitIndices: [Int]?, classes: [String]? = nil,
        as activity: String
    ) async throws -> Measured {
        let model = extraction.served.model
        let resolved = try taps.map { try model.resolve($0) }
        var measured = Measured(
            embeddings: resolved.map { LabelledEmbeddings(dimension: $0.dimension) }, taps: resolved,
            hasHead: logitIndices != nil)
        let (images, indices) = (images, indices)
        let labels = Self.labels(of: images.classes, among: classes ?? images.classes)
        let bar = ProgressBar(activity, of: indices.count)
        defer { bar.erase() }
        try await extraction.run(
            count: indices.count, FeatureRequest(taps: taps, wantsLogits: logitIndices != nil),
            bytes: { try images.bytes(at: indices[$0], maximumBytes: FeatureExtraction.maximumBytes) }
        ) { position, result in
            let item = images.items[indices[position]]
            switch result {
            case .failure(let trouble):
                measured.failed += 1
                bar.complain("headwater: \(trouble.located(at: item.path))")
            case .success(let features):
                measured.images += 1
                for (tap, values) in features.values.enumerated() {
                    measured.embeddings[tap].append(values, label: labels[item.label])
                }
                if let logitIndices, let logits = features.logits {
                    measured.tally.add(logits: logits, answer: logitIndices[item.label])
                }
            }
            bar.update(position + 1)
        }
        measured.seconds = bar.elapsed / .seconds(1)
        return measured
    }

    private static func labels(of own: [String], among classes: [String]) -> [Int] {
        var known = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
        return own.map { name in
            let label = known[name] ?? known.count
            known[name] = label
            return label
        }
    }
}

/// What `headwater evaluate` prints.
struct EvaluationReport: Codable, Equatable {
    /// The k-nearest-neighbour accuracy of a tap.
    struct Neighbours: Codable, Equatable {
        let time: Float
        let place: String
        let k: Int
        /// Images among which neighbours were sought.
        let references: Int
        let leavesOneOut: Bool
        let accuracy: Double
    }

    let model: String
    let version: String
    let kernels: String
    /// Images counted.
    let images: Int
    /// Images left out, those of --train included.
    var failed: Int
    /// Fractions of the images; nil without a head.
    let top1: Double?
    let top5: Double?
    var neighbours: [Neighbours] = []
    /// For the images, reading and decoding included.
    let seconds: Double

    @MainActor
    init(_ served: ServedModel, _ kernels: Kernels, _ measured: EvaluationSet.Measured) {
        model = served.version.name
        version = served.version.label
        self.kernels = kernels.name
        images = measured.images
        failed = measured.failed
        top1 = measured.hasHead ? Double(measured.tally.top1) / Double(measured.tally.images) : nil
        top5 = measured.hasHead ? Double(measured.tally.top5) / Double(measured.tally.images) : nil
        seconds = measured.seconds
    }

    @MainActor
    mutating func measureNeighbours(
        _ k: Int, of measured: EvaluationSet.Measured, among known: EvaluationSet.Measured?, on pool: WorkerPool
    ) throws {
        for (index, tap) in measured.taps.enumerated() {
            let queries = measured.embeddings[index]
            let references = known?.embeddings[index] ?? queries
            let search = NearestNeighbours(among: references, k: k)
            let bar = ProgressBar("neighbours at \(tap.name)", of: queries.count)
            defer { bar.erase() }
            let progress: (Int) throws -> Void = { done in
                try Task.checkCancellation()
                bar.update(done)
            }
            let correct =
                known == nil
                ? try search.correctLeavingOneOut(on: pool, progress: progress)
                : try search.correct(queries, on: pool, progress: progress)
            neighbours.append(
                Neighbours(
                    time: tap.time, place: tap.place.description, k: k, references: references.count,
                    leavesOneOut: known == nil, accuracy: Double(correct) / Double(queries.count)))
        }
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }

    /// For people.
    var text: String {
        func percent(_ fraction: Double) -> String { "\((fraction * 10_000).rounded() / 100) %" }
        var rows = [
            ("model", "\(model) (\(version)), \(kernels) kernels"),
            ("images", "\(images)" + (failed > 0 ? ", and \(failed) left out" : "")),
            (
                "time",
                "\(ProgressLine.clock(seconds)), \(ProgressLine.rounded(Double(images) / max(seconds, 1e-9))) images/s"
            ),
        ]
        if let top1, let top5 { rows += [("top-1", percent(top1)), ("top-5", percent(top5))] }
        for found in neighbours {
            let place = found.leavesOneOut ? "the others" : "\(found.references) references"
            rows.append(
                ("\(found.k)-NN", "\(percent(found.accuracy)) at \(found.time)/\(found.place), among \(place)"))
        }
        return rows.map { "\(padded($0.0, 8)) \($0.1)\n" }.joined()
    }
}
