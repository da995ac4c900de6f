import Arguments
import Console
import Evaluation
import FlowModel
import ImagePipeline
import JSON
import ReverseODE
import Tensor
import Training

/// `headwater grids`: which grid and solver are the cheapest that come near enough to a model's ODE.
enum GridsCommand: Subcommand {
    private static let data = Option(
        "data", required: .file,
        help: "A folder, or a tar or zip archive, of class folders of images.")
    private static let neighbours = Option(
        flag: "neighbours", default: true,
        help: "Measure whether each image's nearest neighbour by the pooled final state is of its class. With "
            + "--no-neighbours, --data needs no class folders.")
    private static let limit = Option(
        "limit", .integer(in: 1...100_000), default: 64, help: "The number of images, evenly spaced.")
    private static let evaluations = Option(
        "evaluations", .integer(in: 1...4096), default: 64, help: "The most evaluations of a pass.")
    private static let tolerance = Option(
        "tolerance", .number(in: 1e-6...1), default: 0.05,
        help: "The largest acceptable mean distance between final states and the solution, as a fraction of the "
            + "solution's norm.")
    private static let json = Option(flag: "json", help: "Print JSON.")

    static let command = Command(
        name: "grids", abstract: "find the cheapest grid and solver for a model",
        discussion: """
            A pass of few evaluations is cheap, but it strays from the solution of the model's ODE. This command runs \
            images through the interval of the model's grid with every solver and several numbers of steps. It \
            compares the final states with a fine solution: the method rk4 with twice the steps of the finest grid. \
            It prints the mean cosine and the mean distance between them, and the grid that is within --tolerance at \
            the least cost. To give a model that grid, pass the printed options to 'headwater convert'. If no grid is within \
            --tolerance, the exit status is 1.
            """,
        options: [
            [data, limit, neighbours, evaluations, tolerance, BulkOptions.batch, json],
            OptionGroup("Images", [DataOptions.labels]), DataOptions.options, ModelSource.options, Computation.options,
        ],
        examples: [
            "Which grid needs the fewest evaluations?":
                "headwater grids --model model.safetensors --data test.tar --limit 100"
        ])

    static let isInterruptible = true

    @MainActor
    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        let computation = try Computation(arguments)
        let file = try ModelFile(ModelSource.file(try arguments[ModelSource.option]))
        let hasClasses = try arguments[neighbours]
        let images = try LabelledImages(
            at: try arguments[data], ignoringClasses: !hasClasses, labels: try DataOptions.labels(arguments),
            following: try DataOptions.links(arguments), formats: try DataOptions.formats(arguments))
        DataOptions.report(images)
        let candidates = GridComparison.candidates(for: file.configuration, evaluations: try arguments[evaluations])
        try arguments.require(
            !candidates.isEmpty, of: evaluations, "no grid over this model's interval has so few evaluations",
            remedy: "give at least \(TimeGrid(file.configuration).steps), the number of steps of its own grid")
        let set = EvaluationSet(images, limit: try arguments[limit], try DataOptions.damagePolicy(arguments))
        let inputs = try set.inputs(for: Preprocessing(file.configuration.preprocessing))
        guard !inputs.isEmpty else { throw CommandFailure(.unusableData, "none of the images could be used") }
        let bar = ProgressBar("comparing", of: candidates.count + 1, unit: "grids")
        defer { bar.erase() }
        let comparison = try GridComparison(
            file, candidates, inputs: inputs, tolerance: try arguments[tolerance],
            batch: try arguments[BulkOptions.batch],
            hasClasses: hasClasses, on: computation
        ) { done in
            try Task.checkCancellation()
            bar.update(done)
        }
        bar.erase()
        print(try arguments[json] ? try JSONCoder.text(comparison) + "\n" : comparison.text, terminator: "")
        return comparison.cheapest == nil ? .negative : .success
    }
}
