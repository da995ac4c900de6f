import FlowModel
import Networks
import ReverseODE

/// What a head reads at its point of the pass.
package enum HeadPlace: Sendable, Equatable {
    /// The pooled state.
    case state
    /// Means of the network's activations.
    case activations(ActivationMeans)

    /// The means of activations; nil for the state.
    package var activation: ActivationMeans? {
        switch self {
        case .state: nil
        case .activations(let means): means
        }
    }
}

/// The model that fine-tuning makes of another one: what it keeps, what is new, and what to say about that.
package struct FineTunedModel {
    /// What was asked for; nil keeps what the model has.
    package struct Wishes {
        package var name: String?
        /// The tap at which embeddings are read if a request names none.
        package var defaultTap: Tap?
        package var grid: TimeGridConfiguration
        package var headPlace: HeadPlace?
        /// When the head is to read.
        package var headTime: TapTime?
        /// Width of the head's hidden layer; 0 for a linear head.
        package var headWidth: Int?
        package var isFromScratch = false
        /// Whether the flow is frozen and the head solved for: a new, linear one.
        package var isHeadSolved = false
        /// Whether the flow's loss is trained too.
        package var trainsFlow = false

        /// Asks for a grid, and otherwise for what the model has.
        package init(grid: TimeGridConfiguration) { self.grid = grid }
    }

    package let configuration: ModelConfiguration
    /// Whether the head goes on from the base's weights.
    package let keepsHead: Bool
    /// What was kept and what wasn't, a line each, for the log.
    package let notes: [String]

    /// Decides.
    ///
    /// - Parameters:
    ///   - base: the model to begin with, valid.
    ///   - classes: names of the classes to learn, at least two.
    /// - Throws: `ConfigurationError`, also if steps to the head are to be trained and the solver isn't Euler's method; `TapError` if the
    ///   tap asked for isn't the new model's.
    package init(of base: ModelConfiguration, classes: [String], _ wishes: Wishes) throws {
        var configuration = base
        configuration.name = wishes.name ?? base.name
        configuration.selfTest = nil
        let (head, isBases) = try Self.head(of: base, classes: classes, wishes)
        (configuration.head, configuration.labels) = (head, classes)
        try configuration.setGrid(wishes.grid, headAt: wishes.headTime)
        try configuration.validate()
        if !wishes.isHeadSolved { try configuration.requireTrainableSolver() }
        let tap = try Self.defaultTap(of: configuration, base, wishes)
        configuration.defaultTap = tap.written
        self.configuration = configuration
        keepsHead = isBases && !wishes.isFromScratch
        notes =
            [
                Self.note(ofName: configuration.name, wishes), Self.note(of: tap, base, wishes),
                Self.note(of: configuration, keepsHead: keepsHead, wishes),
            ] + Self.note(ofFlow: configuration, wishes)
    }

    /// The base's head if it has these classes and what else is asked for, or a new one that reads at the same point.
    private static func head(
        of base: ModelConfiguration, classes: [String], _ wishes: Wishes
    ) throws -> (head: HeadConfiguration, isBases: Bool) {
        let place = wishes.headPlace.map(\.activation) ?? base.head?.place
        let ownWidth = base.head.map { $0.hiddenWidth ?? 0 }
        if let head = base.head, !wishes.isHeadSolved, base.labels == classes, head.place == place,
            ownWidth == wishes.headWidth ?? ownWidth
        {
            return (head, true)
        }
        var head = HeadConfiguration(
            pooledSize: base.pooledSize, hiddenWidth: nil, classes: classes.count, place: place,
            point: base.head?.point)
        try head.validate(on: base.architecture)
        guard !wishes.isHeadSolved, wishes.headWidth != 0 else { return (head, false) }
        let network = try base.network()
        // Not the number of cells times that: the hidden layer would grow with its square.
        head.hiddenWidth = wishes.headWidth ?? place.map { network.channels(at: $0.place) } ?? head.representationWidth
        return (head, false)
    }

    /// The tap asked for, or the model's present one; where the new grid lacks its time, its place where the head reads.
    private static func defaultTap(
        of configuration: ModelConfiguration, _ base: ModelConfiguration, _ wishes: Wishes
    ) throws -> Tap {
        let taps = try AvailableTaps(configuration)
        if let wanted = wishes.defaultTap {
            _ = try taps.resolve(wanted)
            return wanted
        }
        let kept = taps.defaultTap(keeping: try Tap(parsing: configuration.defaultTap))
        // Before the first step, the pooled state is only the image made smaller.
        if kept.place == .pooled, try taps.resolve(kept).gridIndex == 0, try kept != Tap(parsing: base.defaultTap),
            let place = configuration.head?.place
        {
            return Tap(time: kept.time, place: .activation(place))
        }
        return kept
    }

    private static func note(ofName name: String, _ wishes: Wishes) -> String {
        "name: \(name)" + (wishes.name == nil ? ", kept from the model that training begins with; see --name" : "")
    }

    private static func note(of tap: Tap, _ base: ModelConfiguration, _ wishes: Wishes) -> String {
        if wishes.defaultTap != nil { return "default tap: \(tap.written)" }
        let own = try? Tap(parsing: base.defaultTap)
        if tap == own {
            return "default tap: \(tap.written), kept from the model that training begins with; see --default-tap"
        }
        if own?.time == .end, tap.time != .end {
            return "default tap: \(tap.written), moved from the end to where the head reads; see --default-tap"
        }
        return
            "default tap: \(tap.written), because the model's own, \(base.defaultTap), is not on the new grid or with the "
            + "new head; see --default-tap"
    }

    /// A model that could make images, and is going to forget how.
    private static func note(ofFlow configuration: ModelConfiguration, _ wishes: Wishes) -> [String] {
        guard !wishes.isHeadSolved, !wishes.trainsFlow, TimeGrid(configuration).reachesNoise else { return [] }
        return ["flow: not trained, so the model will forget how to make images; see --flow-weight"]
    }

    private static func note(of configuration: ModelConfiguration, keepsHead: Bool, _ wishes: Wishes) -> String {
        let head = configuration.head!
        let place = head.place.map { "the activations at \($0)" } ?? "the pooled state"
        return
            "head: \(keepsHead ? "kept from the model that training begins with" : "new"), "
            + (head.hiddenWidth == nil ? "linear, " : "") + "\(head.classes) classes from \(place)"
            + (head.point == nil ? "" : " at \(configuration.headTime?.written ?? "")")
    }
}
