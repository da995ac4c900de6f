import Arguments
import FeatureService
import FlowModel
import Networks
import ReverseODE
import Training

/// The flags that say which taps are wanted, with the meaning that they have in requests to the service.
enum TapOptions {
    static let at = Option(
        "at", optional: .tapTimes,
        help:
            "Times on the model's grid, end, or all for every point of the grid. The default is the time at which the "
            + "head reads if only --from is given, and end without a head. 'headwater inspect' lists the grid.")
    static let from = Option(
        "from",
        optional: .list(
            of: .described(
                "PLACE", as: TapPlace.self,
                rule: "a place: state, pooled, head, middle, down.N or up.N, the last three also as in up.1:2x2")),
        help:
            "Places: state, pooled, head, middle, down.0, …, up.0, …. Activations are averaged over the image, or over "
            + "each cell of a grid, as in middle:2x2. The default is that of the model's default tap if only --at is given."
    )

    /// The tap that a new model file names.
    static let defaultTap = Option(
        "default-tap", optional: .tap,
        help:
            "The tap at which embeddings are read if a request names none, such as end/middle or 1/up.1:2x2. The default is the "
            + "model's.")

    static let options = OptionGroup("Taps", [at, from])

    /// Every listed time with every listed place, times outermost, or the model's default tap.
    ///
    /// - Throws: `UsageError` for a tap that the model doesn't have.
    static func taps(_ arguments: ParsedArguments, of model: ReversibleModel) throws -> [Tap] {
        let (times, places) = (try arguments[at], try arguments[from])
        let usual = try Tap(parsing: model.configuration.defaultTap)
        guard times != nil || places != nil else { return [usual] }
        let taps = (times ?? .listed([model.usualTime])).times(of: model).flatMap { time in
            (places ?? [usual.place]).map { Tap(time: time, place: $0) }
        }
        for tap in taps {
            do throws(TapError) {
                _ = try model.resolve(tap)
            } catch {
                throw UsageError(
                    error.description, at: "\(arguments.place(of: at)), \(arguments.place(of: from))",
                    remedy: "'headwater inspect' lists the model's times and places")
            }
        }
        return taps
    }
}

enum TapTimes: Sendable, Equatable {
    /// At every point of the model's grid.
    case all
    case listed([TapTime])

    /// The times themselves, in the order of the pass or as they were listed.
    func times(of model: ReversibleModel) -> [TapTime] {
        switch self {
        case .all: model.grid.times.map { .at($0) }
        case .listed(let times): times
        }
    }
}

extension ValueSyntax where Value == TapTimes {
    /// Tap times with commas, or all of them.
    static var tapTimes: ValueSyntax {
        let list = ValueSyntax<[TapTime]>.list(of: .tapTime)
        return ValueSyntax(
            placeholder: list.placeholder, rule: "all, or \(list.rule)",
            parse: { $0 == "all" ? .all : list.parse($0).map(TapTimes.listed) },
            format: { times in
                switch times {
                case .all: "all"
                case .listed(let times): list.format(times)
                }
            })
    }
}

extension ValueSyntax where Value == TapTime {
    static var tapTime: ValueSyntax {
        ValueSyntax(
            placeholder: "TIME", rule: "a time such as 0.75, or end", parse: { try? TapTime(parsing: $0) },
            format: \.written)
    }
}

extension ValueSyntax where Value == Tap {
    /// A tap as a configuration has it.
    static var tap: ValueSyntax {
        ValueSyntax(
            placeholder: "TIME/PLACE", rule: "a time, a slash and a place, such as end/middle or 1/up.1:2x2",
            parse: { try? Tap(parsing: $0) }, format: \.written)
    }
}

extension ValueSyntax where Value == HeadPlace {
    static var headPlace: ValueSyntax {
        ValueSyntax(
            placeholder: "PLACE", rule: "a place: state, middle, down.N or up.N, the last three also as in up.1:2x2",
            parse: { text in text == "state" ? .state : ActivationMeans(text).map(HeadPlace.activations) },
            format: { $0.activation?.description ?? "state" })
    }
}
