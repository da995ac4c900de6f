import Arguments
import Console
import Extraction
import FeatureService
import Files
import FlowModel
import ImagePipeline
import ReverseODE
import Tensor

/// `headwater sample`: what a flow makes of noise.
enum SampleCommand: Subcommand {
    private static let model = Positional(
        "MODEL", optional: .file, help: "The model file. The default is the bundled model.")
    private static let output = Option(
        "output", short: "o", required: .file,
        help:
            "The PNG file of a sheet, if the name ends in .png; otherwise the folder for a PNG file of each image. The "
            + "folder is created if necessary.")
    private static let count = Option(
        "count", short: "n", .integer(in: 1...1_000_000), default: 64, help: "The number of images.")
    static let seed = Option(
        "seed", .integer(in: 0 ... .max), default: 1,
        help: "The seed of the noise. The noise of an image depends only on the seed and the image's number.")
    private static let span = Option(
        "t-span", optional: .integer(in: 2...10_000),
        help:
            "The number of points of the grid, which goes from noise to the image. The default is the model's grid if "
            + "that reaches noise, and otherwise \(ModelConfiguration.pointsToNoise) points, or as many as the model's grid "
            + "has before its cutoff if these are more.")
    private static let columns = Option(
        "columns", optional: .integer(in: 1...10_000),
        help: "The number of images in a row of the sheet. By default, the sheet is about square.")

    /// The most pixels of a sheet, which is in memory as a whole.
    private static let maximumPixels = 100_000_000

    static let command = Command(
        name: "sample", abstract: "make images from noise, to see what a flow has learnt",
        discussion: """
            Starts each image from noise at the end of the model's grid and runs the flow towards the data, by the same \
            steps as the way back of 'POST /trajectory'. A model whose grid ends before noise is run on a grid that \
            reaches noise. More steps or a better solver come nearer to the flow's own images.

            Image N is the same, to the bit, for the same model, seed, grid, solver and kernels. It depends neither on \
            --count nor on --batch or --workers. In a folder, files are named 000000.png, 000001.png and so on; a file of \
            that name is replaced.
            """,
        options: [
            [output, count, seed, columns, span, GridOptions.solver], OptionGroup("Computation", [BulkOptions.batch]),
            Computation.options,
        ],
        positionals: [model],
        examples: [
            "A sheet of 64 images:":
                "headwater sample pretrained/model.safetensors --t-span 33 --solver heun -o sheet.png",
            "Ten thousand images, each in a file:": "headwater sample model.safetensors -n 10000 --seed 7 -o samples",
        ])

    static let isInterruptible = true

    @MainActor
    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments)
        let (count, batch) = (try arguments[count], try arguments[BulkOptions.batch])
        let (points, solver) = (try arguments[span], try arguments[GridOptions.solver])
        let path = try arguments[output]
        try arguments.require(
            path != "-", of: output, "images can't go to standard output", remedy: "name a PNG file or a folder")
        let served = try ModelSource.load(try arguments[model], computation, batch: min(batch, count)) {
            $0.forGeneration(points: points, solver: solver)
        }
        let isSheet = path.lowercased().hasSuffix(".png")
        let sheet = isSheet ? try Sheet(arguments, count: count, side: served.model.side) : nil
        if sheet == nil {
            try arguments.refuse(
                [columns], "it is for a sheet", remedy: "leave it out, or give -o a name that ends in .png")
            try OutputFolder.make(path)
        }
        let integrator = ReverseIntegrator(
            model: served.model, capacity: min(batch, count), kernels: computation.kernels, pool: computation.pool)
        let noise = GenerationNoise(seed: UInt64(try arguments[seed]))
        let bar = ProgressBar("sampling", of: count)
        defer { bar.erase() }
        var pictures: [RGBImage] = []
        for start in stride(from: 0, to: count, by: integrator.evaluator.capacity) {
            let indices = start..<min(start + integrator.evaluator.capacity, count)
            let images = try integrator.images(indices, from: noise) { try Task.checkCancellation() }
            for (index, values) in zip(indices, images) {
                let picture = try picture(of: values, index: index, served)
                if sheet != nil { pictures.append(picture) } else { try write(picture, to: file(index, in: path)) }
            }
            bar.update(indices.upperBound)
        }
        bar.erase()
        if let sheet {
            try sheet.file.write(RGBImage.sheet(of: pictures, columns: sheet.columns).png())
            try sheet.file.commit()
        }
        print(summary(path, count: count, served))
        return .success
    }

    /// A sheet whose size has been checked, and whose file has been begun before the work, so that a wrong path costs none.
    @MainActor
    private struct Sheet {
        let columns: Int
        let file: ResultFile

        init(_ arguments: ParsedArguments, count: Int, side: Int) throws {
            columns = try arguments[SampleCommand.columns] ?? count.columnsOfSheet
            let size = RGBImage.sheetSize(of: count, width: side, height: side, columns: columns)
            try arguments.require(
                size.width * size.height <= maximumPixels, of: SampleCommand.count,
                "the sheet would have \(size.width)x\(size.height) pixels, more than \(maximumPixels / 1_000_000) million",
                remedy: "give fewer images, or give -o a folder")
            file = try ResultFile(arguments[SampleCommand.output])
        }
    }

    private static func picture(of values: [Float], index: Int, _ served: ServedModel) throws -> RGBImage {
        guard values.allSatisfy(\.isFinite) else {
            throw CommandFailure(
                .unusableData,
                "image \(index) became infinite or NaN on the way from noise; give a finer grid with --t-span, or check the "
                    + "model with 'headwater inspect'")
        }
        return served.preprocessing.picture(of: values)
    }

    private static func file(_ index: Int, in folder: String) -> String {
        let digits = String(index)
        let name = String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".png"
        return folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }

    private static func write(_ picture: RGBImage, to path: String) throws {
        var file = try AtomicFile(path: path)
        try file.write(try picture.png())
        try file.commit()
    }

    private static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    private static func summary(_ path: String, count: Int, _ served: ServedModel) -> String {
        let model = served.model
        return
            "\(path): \(counted(count, "image")) of \(served.version.name) (\(served.version.label)), "
            + "\(counted(model.evaluationsPerPass, "evaluation")) each (\(model.configuration.solver), "
            + "\(counted(model.grid.steps, "step")) from \(model.grid.times[model.grid.steps]) to \(model.grid.times[0]))"
    }
}
