import FeatureService

/// How the cache of answers served a request's images.
struct CacheOutcome: Equatable, Sendable {
    private let counts: [AnswerSource: Int]

    /// Nil if answers are not cached.
    init?(_ sources: [AnswerSource]) {
        guard !sources.isEmpty else { return nil }
        counts = Dictionary(sources.map { ($0, 1) }, uniquingKeysWith: +)
    }

    private func count(_ source: AnswerSource) -> Int { counts[source] ?? 0 }

    /// The source that made the request wait longest: a hit only if every image was one.
    var source: AnswerSource { count(.miss) > 0 ? .miss : count(.shared) > 0 ? .shared : .hit }

    /// The value of a `Cache-Status` field (RFC 9211): `hit` if every answer was cached; `fwd=partial` if some were;
    /// `collapsed` if all the others were already being computed for other requests. `detail` counts several images.
    var status: String {
        var status = "headwater"
        if source == .hit {
            status += "; hit"
        } else {
            status += count(.hit) > 0 ? "; fwd=partial" : "; fwd=miss"
            if source == .shared { status += "; collapsed" }
        }
        guard counts.values.reduce(0, +) > 1 else { return status }
        let details = AnswerSource.allCases.filter { count($0) > 0 }.map { "\(count($0)) \($0.rawValue)" }
        return status + "; detail=\"\(details.joined(separator: ", "))\""
    }
}
