import Arguments
import FlowModel
import ReverseODE

/// Options that give a model another time grid.
enum GridOptions {
    static let span = Option(
        "t-span", optional: .integer(in: 2...10_000),
        help: "The number of points of the time grid. The default is the model's.")
    static let cutoff = Option(
        "t-cutoff", optional: .integer(in: 0...10_000),
        help: cutoffHelp + " With --t-span, the default is no cut.")
    /// What a cut leaves.
    static let cutoffHelp =
        "Where the grid is cut: this number of points remains. On icfm and otcfm paths, whose points are counted from "
        + "noise, this number is removed instead."
    static let solver = Option(
        "solver", optional: .choice("SOLVER", of: Solver.self),
        help: "The method of integration: euler, heun, midpoint, rk4 or ab2. The default is the model's.")

    static let headTime = Option(
        "head-at", optional: .tapTime,
        help:
            "The time on the grid at which the head reads, or end. The steps after it are taken only for taps that need "
            + "them. The default is the model's, or end.")

    /// Carries out a change to a model's grid.
    ///
    /// - Throws: `UsageError` if the grid lacks the head's time or the model has no head, and what `change` throws.
    static func locatingHeadTime<R>(_ arguments: ParsedArguments, _ change: () throws -> R) throws -> R {
        do {
            return try change()
        } catch let error as HeadTimeError {
            throw UsageError(error.description, at: arguments.place(of: headTime), remedy: error.remedy)
        }
    }

    /// The grid asked for; the model's own as far as nothing is.
    static func grid(_ arguments: ParsedArguments, of configuration: ModelConfiguration) throws -> TimeGridConfiguration
    {
        grid(count: try arguments[span], cutoff: try arguments[cutoff], of: configuration)
    }

    /// The grid asked for; the model's own as far as nothing is.
    static func grid(count: Int?, cutoff: Int?, of configuration: ModelConfiguration) -> TimeGridConfiguration {
        if let count { return TimeGridConfiguration(count: count, cutoff: cutoff) }
        return TimeGridConfiguration(count: configuration.grid.count, cutoff: cutoff ?? configuration.grid.cutoff)
    }
}
