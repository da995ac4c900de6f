import FeatureService
import FlowModel
import JSON
import Networks
import Plotting
import ReverseODE
import Tensor

/// What a solver and a number of steps cost a model, and how near they come to the solution of its ODE, on a set of images.
///
/// The solution is that of the classical Runge-Kutta method of order four, with twice the steps of the finest grid compared.
package struct GridComparison: Codable, Sendable {
    /// One grid with one solver.
    package struct Row: Codable, Sendable {
        let solver: Solver
        /// Points, as `--t-span` counts them before the cutoff.
        let span: Int
        let cutoff: Int?
        /// Evaluations of a whole pass.
        let evaluations: Int
        /// The mean cosine between the final states and the solution's.
        let cosine: Double
        /// The mean relative distance between them.
        let distance: Double
        /// How many images of a hundred have the class of their nearest neighbour among the others, by the pooled final state; nil
        /// without classes.
        let neighbours: Double?
    }

    let model: String
    let images: Int
    /// The largest mean distance from the solution that counts as near enough.
    let tolerance: Double
    /// The grids, the cheapest first.
    package let rows: [Row]
    /// The cheapest grid within the tolerance; nil if there is none.
    package var cheapest: Row? { rows.first { $0.distance <= tolerance } }
}

extension GridComparison {
    package struct Candidate: Sendable, Equatable {
        let grid: TimeGridConfiguration
        let solver: Solver
        let steps: Int
    }

    /// Grids over the same interval as the model's own, with at most `evaluations` evaluations: every solver with 1, 2, 3, 4, 6, 8,
    /// … steps, as far as the points before a cutoff can be spaced so.
    package static func candidates(for configuration: ModelConfiguration, evaluations: Int) -> [Candidate] {
        let own = TimeGrid(configuration).steps
        let counts = Set((0..<11).flatMap { [1 << $0, 3 << $0] } + [own]).sorted()
        return Solver.allCases.flatMap { solver in
            // With one step, ab2 is Euler's method.
            counts.filter { $0 * solver.evaluationsPerStep <= evaluations && ($0 > 1 || solver != .ab2) }.compactMap {
                steps in
                grid(of: configuration, steps: steps).map { Candidate(grid: $0, solver: solver, steps: steps) }
            }
        }
        .sorted {
            ($0.steps * $0.solver.evaluationsPerStep, $0.steps) < ($1.steps * $1.solver.evaluationsPerStep, $1.steps)
        }
    }

    /// The grid of so many steps over the interval of the configuration's own; nil if no whole number of points gives it.
    static func grid(of configuration: ModelConfiguration, steps: Int) -> TimeGridConfiguration? {
        let own = TimeGrid(configuration).steps
        let (spans, remainder) = ((configuration.grid.count - 1) * steps).quotientAndRemainder(dividingBy: own)
        guard remainder == 0, spans < 10_000 else { return nil }
        guard configuration.grid.cutoff != nil else { return TimeGridConfiguration(count: spans + 1) }
        return TimeGridConfiguration(
            count: spans + 1, cutoff: configuration.flow.keepsGridBeforeCutoff ? steps + 1 : spans - steps)
    }

    /// Compares grids on images.
    ///
    /// - Parameters:
    ///   - candidates: see `candidates(for:evaluations:)`.
    ///   - inputs: normalised images, [3][side][side], with the index of their class.
    ///   - tolerance: see `tolerance`.
    ///   - batch: images evaluated together.
    ///   - hasClasses: whether to measure nearest neighbours.
    ///   - progress: told how many grids have been computed, the solution's counted; what it throws is rethrown.
    /// - Throws: `ConfigurationError`, and what reading the file throws.
    package init(
        _ file: ModelFile, _ candidates: [Candidate], inputs: [(pixels: [Float], label: Int)], tolerance: Double,
        batch: Int, hasClasses: Bool, on computation: Computation, progress: (Int) throws -> Void
    ) throws {
        let configuration = file.configuration
        let finest = candidates.map(\.steps).max() ?? 1
        func pass(_ grid: TimeGridConfiguration, _ solver: Solver) throws -> (states: [[Float]], pooled: [[Float]]) {
            var changed = configuration
            (changed.grid, changed.solver) = (grid, solver)
            // Only states are compared, and the grid may lack the head's point.
            changed.head?.point = nil
            let model = try ReversibleModel(
                configuration: changed, precision: computation.precision, kernels: computation.kernels,
                pool: computation.pool, parameters: file.tensor)
            let taps = try [TapPlace.state, .pooled].map { try model.resolve(Tap(time: .end, place: $0)) }
            let integrator = ReverseIntegrator(
                model: model, capacity: batch, kernels: computation.kernels, pool: computation.pool)
            var trajectories = inputs.map { integrator.trajectory(input: $0.pixels, taps: taps, wantsLogits: false) }
            integrator.run(&trajectories)
            return (trajectories.map { $0.features[0] }, trajectories.map { $0.features[1] })
        }
        let fine = Self.grid(of: configuration, steps: 2 * finest) ?? Self.grid(of: configuration, steps: finest)!
        let solution = try pass(fine, .rk4).states
        try progress(1)
        var rows: [Row] = []
        for candidate in candidates {
            let found = try pass(candidate.grid, candidate.solver)
            let neighbours =
                hasClasses ? Self.agreement(found.pooled, labels: inputs.map(\.label), on: computation.pool) : nil
            rows.append(Row(candidate, found.states, solution, neighbours: neighbours))
            try progress(rows.count + 1)
        }
        model = configuration.name
        images = inputs.count
        self.tolerance = tolerance
        self.rows = rows
    }

    private static func agreement(_ embeddings: [[Float]], labels: [Int], on pool: WorkerPool) -> Double {
        var labelled = LabelledEmbeddings(dimension: embeddings[0].count)
        for (embedding, label) in zip(embeddings, labels) { labelled.append(embedding, label: label) }
        let correct = NearestNeighbours(among: labelled, k: 1).correct(nil, on: pool) { _ in }
        return 100 * Double(correct) / Double(embeddings.count)
    }
}

extension GridComparison.Row {
    fileprivate init(
        _ candidate: GridComparison.Candidate, _ states: [[Float]], _ solution: [[Float]], neighbours: Double?
    ) {
        solver = candidate.solver
        span = candidate.grid.count
        cutoff = candidate.grid.cutoff
        evaluations = candidate.steps * candidate.solver.evaluationsPerStep
        func mean(_ value: ([Float], [Float]) -> Double) -> Double {
            zip(states, solution).reduce(0) { $0 + value($1.0, $1.1) } / Double(states.count)
        }
        cosine = mean { $0.cosine(with: $1) }
        distance = mean { state, exact in
            let difference = zip(state, exact).map(-)
            return (difference.dotProduct(with: difference) / exact.dotProduct(with: exact)).squareRoot()
        }
        self.neighbours = neighbours
    }

    /// As options of commands.
    var options: String { "--solver \(solver) --t-span \(span)" + (cutoff.map { " --t-cutoff \($0)" } ?? "") }
}

extension GridComparison {
    /// For people: a line for each grid, and which is the cheapest that is near enough.
    package var text: String {
        let columns = TextColumns([
            ("evaluations", -13), ("solver", -10), ("t-span", 7), ("t-cutoff", 10), ("cosine", 10), ("distance", 10),
            ("1-NN", 8),
        ])
        let lines = rows.map { row in
            columns.line([
                "\(row.evaluations)", "\(row.solver)", "\(row.span)", row.cutoff.map(String.init) ?? "-",
                row.cosine.fixed(digits: 4), row.distance.fixed(digits: 4),
                row.neighbours.map { $0.fixed(digits: 1) } ?? "-",
            ])
        }
        let conclusion =
            cheapest.map { "The cheapest grid within \(tolerance) of the solution: \($0.options)" }
            ?? "No grid is within \(tolerance) of the solution: allow more --evaluations or a larger --tolerance"
        return (["\(model), \(images) images", columns.head] + lines + [conclusion]).joined(separator: "\n") + "\n"
    }
}
