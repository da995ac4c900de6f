import Arguments
import FlowModel

/// Options that give a model another time grid.
enum GridOptions {
    static let span = Option(
        "t-span", optional: .integer(in: 2...10_000),
        help: "The number of points of the time grid. The default is the model's.")
    static let cutoff = Option(
        "t-cutoff", optional: .integer(in: 0...10_000),
        help: "The point at which the grid is cut. With --t-span, the default is no cut.")

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
