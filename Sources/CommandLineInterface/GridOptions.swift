import FlowModel

/// Options that give a model another time grid.
enum GridOptions {
    static let span = Option(
        "t-span", optional: .integer(in: 2...10_000), help: "Points of the time grid; the model's if not given.")
    static let cutoff = Option(
        "t-cutoff", optional: .integer(in: 0...10_000),
        help: "Where the grid is cut; with --t-span, nowhere if not given.")

    /// The grid asked for; the model's own as far as nothing is.
    static func grid(_ arguments: ParsedArguments, of configuration: ModelConfiguration) throws -> TimeGridConfiguration
    {
        let cutoff = try arguments[cutoff]
        if let count = try arguments[span] { return TimeGridConfiguration(count: count, cutoff: cutoff) }
        return TimeGridConfiguration(count: configuration.grid.count, cutoff: cutoff ?? configuration.grid.cutoff)
    }
}
