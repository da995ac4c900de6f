import FlowModel
import ReverseODE

/// The model that pretraining makes of another one: its flow alone.
package struct PretrainedModel {
    package let configuration: ModelConfiguration
    /// What was kept and what wasn't, a line each, for the log.
    package let notes: [String]

    /// Decides.
    ///
    /// - Parameters:
    ///   - base: the model to begin with, valid.
    ///   - name: the name asked for; nil keeps the base's.
    ///   - grid: of the new model.
    /// - Throws: `ConfigurationError` if the grid isn't one of the flow's.
    package init(of base: ModelConfiguration, name: String?, grid: TimeGridConfiguration) throws {
        var configuration = base
        configuration.name = name ?? base.name
        (configuration.head, configuration.labels, configuration.selfTest) = (nil, nil, nil)
        try configuration.setGrid(grid)
        try configuration.validate()
        let own = try Tap(parsing: base.defaultTap)
        let tap = try AvailableTaps(configuration).defaultTap(keeping: own)
        configuration.defaultTap = tap.written
        self.configuration = configuration
        notes =
            [
                "weights: those of \(base.name), at which their average begins too",
                "name: \(configuration.name)"
                    + (name == nil ? ", kept from the model that training begins with; see --name" : ""),
                "default tap: \(tap.written)"
                    + (tap == own
                        ? ", kept from the model that training begins with"
                        : ", because the model's own, \(base.defaultTap), is not on the new grid or needs its head"),
            ] + (base.head == nil ? [] : ["head: left out, because the flow under it changes"])
    }
}
