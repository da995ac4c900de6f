public import FlowModel

/// One network evaluation of a step of an explicit method: where, and what becomes of the velocity.
///
/// Every method here evaluates its stages in a chain: stage i at x + h·a_i·k_(i-1), the step's result being
/// x + h·Σ b_i·k_i, so two buffers in addition to the state suffice.
struct SolverStage: Sendable, Equatable {
    /// Fraction of the step at which the stage is evaluated.
    let node: Float
    /// Weight of the previous stage's velocity in this stage's input; 0 for the first.
    let previous: Float
    /// Weight of this stage's velocity in the step's result.
    let weight: Float
}

extension Solver {
    /// The method's stages (Hairer, Nørsett and Wanner 1993, II.1). For `ab2` the weight is replaced, after its first
    /// step, by the two-step formula for the ratio of the steps (III.5).
    var stages: [SolverStage] {
        let table: [(node: Float, previous: Float, weight: Float)] =
            switch self {
            case .euler, .ab2: [(0, 0, 1)]
            case .midpoint: [(0, 0, 0), (0.5, 0.5, 1)]
            case .heun: [(0, 0, 0.5), (1, 1, 0.5)]
            case .rk4: [(0, 0, 1 / 6), (0.5, 0.5, 1 / 3), (0.5, 0.5, 1 / 3), (1, 1, 1 / 6)]
            }
        return table.map { SolverStage(node: $0.node, previous: $0.previous, weight: $0.weight) }
    }

    /// Network evaluations of one step.
    public var evaluationsPerStep: Int { stages.count }
}

/// Every evaluation of a whole pass upstream and back: where each stage of each step evaluates the network.
///
/// The way back is the same method on the same points in the opposite order. Its stages lie at the same times as those of
/// the way upstream, the first of them at the point that the step leaves, so the network needs no further evaluations.
struct Schedule: Sendable {
    let grid: TimeGrid
    let solver: Solver
    let stages: [SolverStage]
    /// The distinct evaluations.
    let evaluations: [Evaluation]
    /// Index into `evaluations` of stage s of the step that leaves position p at `indices[p][s]`. Stage 0 is at the
    /// position's own time, where taps may want the network's activations; the last position, which no step leaves, has
    /// only that.
    let indices: [[Int]]

    init(grid: TimeGrid, solver: Solver) {
        self.grid = grid
        self.solver = solver
        let stages = solver.stages
        self.stages = stages
        var evaluations: [Evaluation] = []
        var seen: [Evaluation: Int] = [:]
        func index(of evaluation: Evaluation) -> Int {
            if let index = seen[evaluation] { return index }
            seen[evaluation] = evaluations.count
            evaluations.append(evaluation)
            return evaluations.count - 1
        }
        var indices: [[Int]] = []
        for position in 0..<grid.lastPosition {
            let (from, to) = (grid.index(at: position), grid.index(at: position + 1))
            // Counted from the upstream step's start on both ways, so that the way back meets the very same times.
            let (start, end) = (grid.points[min(from, to)], grid.points[max(from, to)])
            // The ends are taken from the grid as they are: start + (end - start) may round to a neighbour.
            indices.append(
                stages.map { stage in
                    switch stage.node {
                    case 0: index(of: grid.evaluation(at: from))
                    case 1: index(of: grid.evaluation(at: to))
                    default:
                        index(
                            of: grid.evaluation(
                                between: start + (end - start) * (from < to ? stage.node : 1 - stage.node)))
                    }
                })
        }
        indices.append([index(of: grid.evaluation(at: grid.index(at: grid.lastPosition)))])
        self.evaluations = evaluations
        self.indices = indices
    }
}
