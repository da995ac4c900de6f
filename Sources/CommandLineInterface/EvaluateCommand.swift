import Arguments
import Augmentation
import Console
import Evaluation
import Extraction
import ReverseODE
import Tensor
import Training

/// `headwater evaluate`: a model's accuracy on labelled images.
enum EvaluateCommand: Subcommand {
    private static let data = Option(
        "data", required: .file, help: "A folder, or a tar or zip archive, of class folders of images.")
    private static let neighbours = Option(
        "knn", .integer(in: 0...1000), default: 20,
        help: "The number of neighbours that vote. 0 turns nearest-neighbour accuracy off.")
    private static let train = Option(
        "train", optional: .file,
        help: "Labelled images in the form of --data: the candidates for neighbours, and the training set of probes. "
            + "Without it, each image's neighbours are found among the other images of --data.")
    private static let trainLabels = Option(
        "train-labels", optional: .file, help: "A CSV file in the form of --labels, for the images of --train.")
    private static let probe = Option(
        flag: "probe",
        help: "Also train a linear classifier (logistic regression) on each tap's embeddings of --train, and measure "
            + "it.")
    private static let classes = TrainingOptions.classes(
        help: "Use only the images of these classes, in --data and in --train.")
    private static let limit = Option(
        "limit", optional: .integer(in: 1...1_000_000_000), help: "Use at most N images of a data set, evenly spaced.")
    private static let head = Option(
        flag: "head", default: true, help: "Measure the accuracy of the model's head, if it has one.")
    private static let corruption = Option(
        "corruption",
        optional: .described(
            "NAME[:SEVERITY]", as: CorruptionSelection.self,
            rule: "all or one of \(Corruption.allCases.map(\.rawValue).joined(separator: ", ")), optionally with a "
                + "severity, as in fog:3",
            completion: .choices(["all"] + Corruption.allCases.map(\.rawValue))),
        help: "Also measure the head on images with this corruption, or with all, at this severity from 1 to 5 or at "
            + "every severity.")
    private static let samples = Option(
        "samples", optional: .integer(in: 2...100_000),
        help:
            "Also make N images from noise, and print the squared Fréchet distance between them and N images of "
            + "--data. For comparison, print the distance between those N images and N others of --data. A model whose "
            + "grid ends before noise runs on a grid that reaches noise, as in 'headwater sample'.")
    private static let seed = Option(
        "seed", .integer(in: 0 ... .max), default: 1, help: "The seed of the noise that --samples begins with.")
    private static let embeddingModel = Option(
        "embedding-model", optional: .file,
        help:
            "The model whose default tap embeds the images that --samples compares. The default is the bundled model. "
            + "Only distances in the same embedding can be compared.")
    private static let roundTrips = Option(
        "round-trips", optional: .integer(in: 1...1_000_000),
        help:
            "Also run N images of --data to the end of the model's grid and back, and print how much they differ from "
            + "the originals.")
    private static let noise = Option(
        "noise", optional: .integer(in: 0 ... .max),
        help:
            "Reach each tap's time by adding noise to the image, as DDAE does, instead of by running the flow. N is "
            + "the seed: an image's noise depends on it and on the image's position in its data set. If the model has "
            + "a head, add --no-head.")
    private static let json = Option(
        flag: "json", help: "Print JSON. It has the whole confusion matrix for any number of classes.")
    private static let predictions = Option(
        "predictions", optional: .file,
        help: "Write the head's prediction for every image to this CSV file: path, label, the label's rank and "
            + "probability, and the \(PredictionFile.most) most probable classes with their probabilities.")
    private static let plot = Option(
        "plot", optional: .file,
        help: "Draw the accuracy of each tap's neighbours and probe over the steps from the image, as an SVG file.")

    static let command = Command(
        name: "evaluate", abstract: "measure a model's accuracy on labelled images",
        discussion: """
            The class of an image is the name of its folder, as in test/airplane/0000.jpg, or its label in the table \
            of --labels. To measure the head, these names must be the model's class names. The command measures the \
            head: top-1 accuracy, top-5 accuracy if there are more than five classes, the accuracy of each class, and \
            the confusion matrix. For every tap it measures the accuracy of a majority vote of the k nearest \
            neighbours by cosine, which needs no head. With --probe, it also measures a linear classifier trained on \
            the tap's embeddings, which shows how good a general embedding the tap is.

            --samples measures the flow itself: the Fréchet distance, in an embedding, between the images that it makes from \
            noise and real images. The command also prints the distance between two sets of real images of the same size, \
            which perfect samples would have. With few images, the distances are too large: give an N in the thousands, and at \
            least 2N images.

            --round-trips measures how exactly the flow returns images from the end of its grid.

            With --corruption, the head is measured once more for each corruption and severity: the families of \
            Hendrycks and Dietterich (2019) with their parameters for 32x32 pixels; lengths grow with the model's \
            input. Images are corrupted after resizing and cropping, always in the same way.

            If an image is damaged or can't be read, it is reported and left out of all counts. If it can't be used \
            after a corruption, it is left out of that count. The exit status is then 1. --damaged and --damaged-limit \
            say when the command fails instead.
            """,
        options: [
            [
                data, train, classes, limit, neighbours, probe, head, noise, corruption, samples, seed, embeddingModel,
                roundTrips, json, predictions, plot,
            ],
            OptionGroup("Images", [DataOptions.labels, trainLabels]), DataOptions.options, TapOptions.options,
        ] + BulkOptions.computation,
        examples: [
            "How good is the bundled model?": "headwater evaluate --data test.tar",
            "How well does it withstand noise, blur, weather and compression?":
                "headwater evaluate --data test.tar --knn 0 --corruption all --limit 1000",
            "Which images does it get wrong?":
                "headwater evaluate --data test.tar --knn 0 --predictions predictions.csv",
            "How well do its embeddings separate classes that it has never seen?":
                "headwater evaluate --no-head --from middle,up.1 --data flowers --train flowers-train",
            "How good are the images that its flow makes, and how exactly does it return from noise?":
                "headwater evaluate --model flow.safetensors --data test.tar --knn 0 --no-head --samples 5000 "
                + "--round-trips 1000",
            "Which point of the grid separates the classes best?":
                "headwater evaluate --data test.tar --train train.tar --limit 5000 --probe --at all --from middle,up.1 "
                + "--json --plot cutoffs.svg",
        ])

    static let isInterruptible = true

    @MainActor
    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        let computation = try Computation(arguments)
        let (test, references) = try sets(arguments)
        let extraction = try await BulkOptions.extraction(arguments, computation)
        let model = extraction.served.model
        let (k, probes) = (try arguments[neighbours], try arguments[probe])
        let taps = k > 0 || probes ? try TapOptions.taps(arguments, of: model) : []
        let measuresHead = try arguments[head] && model.head != nil
        let corruptions = try arguments[corruption]
        try arguments.require(
            measuresHead || corruptions == nil, of: corruption, "corruptions need the head",
            remedy: "leave it out, or give a model with a head and no --no-head")
        try arguments.require(
            measuresHead || !taps.isEmpty || arguments[samples] != nil || arguments[roundTrips] != nil, of: neighbours,
            "there is nothing to measure",
            remedy: "give --knn 20, --probe, --samples or --round-trips, or a model with a head")
        if let count = try arguments[roundTrips] {
            try arguments.require(
                count <= test.count, of: roundTrips, "\(test.count) images of \(test.images.path) are evaluated",
                remedy: "give at most \(test.count), or more images, also by --limit and --classes")
        }
        try arguments.require(
            arguments[plot] == nil || !taps.isEmpty, of: plot,
            "there is nothing to draw, because neither neighbours nor probes are measured",
            remedy: "give --knn 20 or --probe")
        try arguments.require(
            !measuresHead || arguments[noise] == nil, of: noise, "the head reads a pass of the flow",
            remedy: "leave it out, or add --no-head")
        if taps.isEmpty {
            try arguments.refuse(
                [noise, train, trainLabels, TapOptions.at, TapOptions.from],
                "it applies to neighbours and probes, and neither is measured",
                remedy: "leave it out, or give --knn 20 or --probe")
        }
        if try arguments[train] == nil {
            try arguments.refuse(
                [trainLabels], "it labels the images of --train, which is not given",
                remedy: "leave it out, or give --train")
        }
        if !measuresHead {
            try arguments.refuse(
                [predictions], "only a head predicts classes",
                remedy: "leave it out, or give a model with a head and no --no-head")
        }
        let quality = try await sampleSource(arguments, test, computation)
        let logitIndices = measuresHead ? try Self.logitIndices(test.images.classes, model) : nil
        let drawing = try arguments[plot].map { try ResultFile($0) }
        let predicted = try arguments[predictions].map {
            try PredictionFile($0, labels: model.configuration.labels ?? [])
        }

        let measured: EvaluationSet.Measured
        let known: EvaluationSet.Measured?
        if let seed = try arguments[noise] {
            let noise = GenerationNoise(seed: UInt64(seed))
            // Images of both sets that had the same noise would look alike. No option gives such a large seed.
            let otherNoise = GenerationNoise(seed: ~UInt64(seed))
            let (classes, batch) = (test.images.classes, try arguments[BulkOptions.batch])
            measured = try await test.measure(
                extraction, taps: taps, after: noise, classes: classes, batch: batch, as: "evaluating")
            known = try await references?.measure(
                extraction, taps: taps, after: otherNoise, classes: classes, batch: batch, as: "embedding")
        } else {
            measured = try await test.measure(
                extraction, taps: taps, logitIndices: logitIndices, into: predicted, as: "evaluating")
            known = try await references?.measure(
                extraction, taps: taps, logitIndices: nil, classes: test.images.classes, as: "embedding")
        }
        guard measured.images > 0, known?.images != 0 else {
            throw CommandFailure(.unusableData, "none of the images could be used")
        }
        var report = EvaluationReport(extraction, measured)
        report.failed += known?.unusable.count ?? 0
        if k > 0 { try report.measureNeighbours(k, of: measured, among: known, on: computation.pool) }
        if probes, let known { try report.measureProbes(of: measured, trainedOn: known, on: computation.pool) }
        if let corruptions, let logitIndices {
            report.corruptions = try await CorruptionReport(
                corruptions, test.without(measured.unusable), extraction, logitIndices: logitIndices)
        }
        if let quality, let count = try arguments[samples] {
            report.samples = try await SampleQuality(
                count, seed: try arguments[seed], from: quality, comparedWith: test.without(measured.unusable),
                batch: try arguments[BulkOptions.batch])
        }
        if let count = try arguments[roundTrips] {
            report.roundTrips = try await RoundTripQuality(count, of: test.without(measured.unusable), extraction)
        }
        if let drawing {
            try drawing.write(report.plot)
            try drawing.commit()
        }
        try predicted?.commit()
        print(try arguments[json] ? try report.json() : report.text, terminator: "")
        return report.failed + (report.corruptions?.failed ?? 0) == 0 ? .success : .negative
    }

    /// What `--data` and `--train` name, of the classes wanted.
    @MainActor
    private static func sets(_ arguments: ParsedArguments) throws -> (test: EvaluationSet, references: EvaluationSet?) {
        let (limit, wanted) = (try arguments[limit], try arguments[classes])
        let (links, formats) = (try DataOptions.links(arguments), try DataOptions.formats(arguments))
        func open(_ path: String, _ labels: Option<String?>) throws -> LabelledImages {
            let images = try LabelledImages(
                at: path, labels: try DataOptions.labels(arguments, labels), following: links, formats: formats)
            DataOptions.report(images)
            return try wanted.map { try images.restricted(to: $0) } ?? images
        }
        let test = try open(try arguments[data], DataOptions.labels)
        let references = try arguments[train].map { try open($0, trainLabels) }
        if try arguments[probe] {
            guard let references else {
                throw UsageError(
                    "a probe must not be trained on the images on which it is measured", at: arguments.place(of: probe),
                    remedy: "give --train")
            }
            if let unknown = test.classes.first(where: { !references.classes.contains($0) }) {
                throw CommandFailure(
                    .unusableData,
                    "\(references.path): lacks the class \(UsageError.quoted(unknown)) of \(test.path), so no probe "
                        + "can learn it; add images of this class, or leave it out with --classes")
            }
        }
        let damage = try DataOptions.damagePolicy(arguments)
        return (EvaluationSet(test, limit: limit, damage), references.map { EvaluationSet($0, limit: limit, damage) })
    }

    /// What makes samples and what embeds them; nil if none are asked for.
    @MainActor
    private static func sampleSource(
        _ arguments: ParsedArguments, _ test: EvaluationSet, _ computation: Computation
    ) async throws -> SampleQuality.Source? {
        guard let count = try arguments[samples] else {
            try arguments.refuse(
                [seed, embeddingModel], "it has no effect without --samples",
                remedy: "leave it out, or give --samples")
            return nil
        }
        try arguments.require(
            2 * count <= test.count, of: samples,
            "\(test.count) images of \(test.images.path) are evaluated, and two halves of \(count) are needed",
            remedy: "give at most \(test.count / 2), or more images, also by --limit and --classes")
        let batch = try arguments[BulkOptions.batch]
        let generator = try ModelSource.load(try arguments[ModelSource.option], computation, batch: batch) {
            $0.forGeneration()
        }
        let embedding = await FeatureExtraction(
            try ModelSource.load(try arguments[embeddingModel], computation, batch: batch), batch: batch,
            decoding: try arguments[BulkOptions.exactDecode] ? .exact : .scaled,
            formats: try DataOptions.formats(arguments), on: computation)
        let source = try SampleQuality.Source(generator, embeddedBy: embedding)
        if count <= source.tap.dimension {
            Terminal.report(
                "warning: --samples \(count): the embedding has \(source.tap.dimension) numbers, too many for a "
                    + "reliable distance between so few images; give several times as many images")
        }
        if generator.version.sha256 == embedding.served.version.sha256 {
            Terminal.report(
                "warning: the evaluated model also computes the embedding, so the distance depends on its own flow; "
                    + "give --embedding-model another model")
        }
        return source
    }

    private static func logitIndices(_ classes: [String], _ model: ReversibleModel) throws -> [Int] {
        do {
            return try EvaluationLabels(classes: classes, labels: model.configuration.labels).logitIndices
        } catch {
            throw CommandFailure(.unusableData, "\(error); --no-head measures the neighbours only")
        }
    }
}
