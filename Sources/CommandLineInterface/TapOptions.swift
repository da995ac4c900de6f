import FeatureService
import ReverseODE

/// The flags that say which taps are wanted, with the meaning that they have in requests to the service.
enum TapOptions {
    static let at = Option(
        "at", optional: .list(of: .tapTime),
        help: "Times on the model's grid, or end; end if only --from is given. See 'headwater inspect'.", group: "Taps")
    static let from = Option(
        "from", optional: .list(of: .tapPlace),
        help: "Places: state, pooled, head, middle, down.0, …, up.0, …; pooled if only --at is given.", group: "Taps")

    static let specifications = [at.specification, from.specification]

    /// Every listed time with every listed place, times outermost, or the model's default tap.
    ///
    /// - Throws: `UsageError` for a tap that the model doesn't have.
    static func taps(_ arguments: ParsedArguments, of model: ReversibleModel) throws -> [Tap] {
        let (times, places) = (try arguments[at], try arguments[from])
        guard times != nil || places != nil else { return [try Tap(parsing: model.configuration.defaultTap)] }
        let taps = (times ?? [.end]).flatMap { time in
            (places ?? [.pooled]).map { Tap(time: time, place: $0) }
        }
        for tap in taps {
            do throws(TapError) {
                _ = try model.resolve(tap)
            } catch {
                throw UsageError(
                    error.description, at: "\(arguments.place(of: at)), \(arguments.place(of: from))",
                    remedy: "'headwater inspect' lists all there are")
            }
        }
        return taps
    }
}

extension ResolvedTap {
    /// Such as `0.625/pooled`.
    var name: String { "\(time)/\(place)" }
}

extension ValueSyntax where Value == TapTime {
    /// A tap's time.
    static var tapTime: ValueSyntax {
        ValueSyntax(
            placeholder: "TIME", rule: "a time such as 0.75, or end", parse: { try? TapTime(parsing: $0) },
            format: { time in
                switch time {
                case .end: "end"
                case .at(let time): time.description
                }
            })
    }
}

extension ValueSyntax where Value == TapPlace {
    /// A tap's place.
    static var tapPlace: ValueSyntax {
        ValueSyntax(
            placeholder: "PLACE", rule: "a place: state, pooled, head, middle, down.N or up.N",
            parse: { TapPlace($0) }, format: \.description)
    }
}
