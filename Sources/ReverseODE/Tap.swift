public import Networks
import UntrustedText

/// What a tap reads at its time.
public enum TapPlace: Hashable, Sendable {
    /// The whole state, [3][side][side].
    case state
    /// The state pooled as the head reads it, [3·size²]; PRG's representation.
    case pooled
    /// The head's tanh activations, [hiddenWidth].
    case head
    /// Spatial means of the network's activations at that state and time, [channels], or [channels][rows][columns] of cells.
    case activation(ActivationMeans)
}

extension TapPlace: LosslessStringConvertible {
    /// As requests spell it: `state`, `pooled`, `head`, `middle`, `down.3`, `up.0:2x2`.
    public var description: String {
        switch self {
        case .state: "state"
        case .pooled: "pooled"
        case .head: "head"
        case .activation(let means): means.description
        }
    }

    /// Reads a place; nil if there is none of that name.
    public init?(_ text: some StringProtocol) {
        switch text {
        case "state": self = .state
        case "pooled": self = .pooled
        case "head": self = .head
        default:
            guard let means = ActivationMeans(text) else { return nil }
            self = .activation(means)
        }
    }
}

/// When a tap reads.
public enum TapTime: Hashable, Sendable {
    /// At the last point of the model's grid.
    case end
    /// At the grid point of that time.
    case at(Float)

    /// As requests and options spell it.
    public var written: String {
        switch self {
        case .end: "end"
        case .at(let time): time.description
        }
    }
}

/// The two ways along the flow that a trajectory takes.
public enum PassDirection: Sendable {
    /// From the image towards the noise that it could have come from: PRG's reverse pass.
    case upstream
    /// From the end of that pass back to the image, as a generation that started there would go: the model's own solver on
    /// the same grid points in the opposite order, x ← x + (b − a)·v(t_a, x) for Euler, a and b being consecutive points
    /// of the way back and v evaluated at the point that the step leaves. An explicit step upstream is not undone exactly
    /// by one downstream, since that takes its velocity at the step's other end, so what comes back differs from the image
    /// by the error of the discretisation.
    case downstream
}

/// A time on the model's grid and a place: which numbers of a reverse pass an embedding consists of.
public struct Tap: Hashable, Sendable {
    /// When.
    public let time: TapTime
    /// Where.
    public let place: TapPlace
    /// On which way. A tap downstream makes the trajectory go to the end of the grid first.
    public let direction: PassDirection

    /// As a configuration has it.
    public var written: String { "\(time.written)/\(place)" }

    /// Puts a tap together.
    public init(time: TapTime, place: TapPlace, direction: PassDirection = .upstream) {
        self.time = time
        self.place = place
        self.direction = direction
    }

    /// Reads a configuration's `defaultTap`, such as `end/pooled` or `0.75/middle`.
    ///
    /// - Throws: `TapError` if it is not of that form.
    public init(parsing text: String) throws(TapError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            throw TapError("the tap \"\(shown(text, atMost: 64))\" is not a time and a place such as \"end/pooled\"")
        }
        self.init(time: try TapTime(parsing: parts[0]), place: try TapPlace(parsing: parts[1]))
    }
}

extension TapTime {
    /// Reads `end` or a number.
    ///
    /// - Throws: `TapError` if it is neither.
    public init(parsing text: some StringProtocol) throws(TapError) {
        if text == "end" {
            self = .end
        } else if text.utf8.count <= 32, let time = Float(String(text)), time.isFinite {
            self = .at(time)
        } else {
            throw TapError("\"\(shown(text, atMost: 32))\" is not a time: give \"end\" or a number on the model's grid")
        }
    }
}

extension TapPlace {
    /// Reads a place.
    ///
    /// - Throws: `TapError` naming the places there are.
    public init(parsing text: some StringProtocol) throws(TapError) {
        guard let place = TapPlace(text) else {
            throw TapError(
                "unknown place \"\(shown(text, atMost: 32))\": places are state, pooled, head, middle, down.0, down.1, …, "
                    + "up.0, up.1, …; all but the first three may be divided into as many rows as columns, as in up.1:2x2"
            )
        }
        self = place
    }
}

/// A tap that the model doesn't have. The message says what to use instead.
public struct TapError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, and what there is instead.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// A tap of a certain model: an index into its grid, and how many numbers it has.
public struct ResolvedTap: Hashable, Sendable {
    /// Index into the grid's `times`.
    public let gridIndex: Int
    /// The grid's time there.
    public let time: Float
    /// Where.
    public let place: TapPlace
    /// How many numbers the tap has.
    public let dimension: Int
    /// On which way.
    public let direction: PassDirection
}
