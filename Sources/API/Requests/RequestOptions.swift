import FeatureService
import HTTPServer
import ReverseODE

/// How an embedding is normalised before it is written.
enum Normalization: String, CaseIterable, Sendable {
    /// Nothing.
    case none
    /// Division by the Euclidean length; a vector of zeros stays one.
    case l2
}

/// How embeddings are written in JSON results.
enum VectorEncoding: String, CaseIterable, Sendable {
    /// An array of numbers.
    case float
    /// Base64 of the numbers as little-endian f32.
    case base64

    /// About how many bytes a number takes.
    var bytesPerNumber: Int { self == .base64 ? 6 : 14 }
}

/// What a request asks for in addition to its images, from the query, a form's text fields or a JSON body.
struct RequestOptions: Equatable, Sendable {
    /// The options' names. `taps` exists in JSON only.
    enum Name: String, CaseIterable, Sendable {
        case at, from, taps, normalize, encoding, top, steps, count, seed
    }

    /// The most taps of an image: each costs memory for its numbers until the answer is written.
    static let maximumTaps = 64
    /// The most taps of a request's images together, for the same reason: 32 images' 64 states would take gigabytes.
    static let maximumTapsOfAllImages = 512

    private(set) var times: [TapTime]?
    private(set) var places: [TapPlace]?
    private(set) var taps: [Tap]?
    private(set) var normalization: Normalization?
    private(set) var encoding: VectorEncoding?
    /// How many of the likeliest classes to name.
    private(set) var top: Int?
    /// How many images an interpolation shows.
    private(set) var steps: Int?
    /// How many images to make.
    private(set) var count: Int?
    /// The seed of the noise that images are made from.
    private(set) var seed: Int?

    /// Whether embeddings are to be read elsewhere than at the default tap.
    var namesTaps: Bool { times != nil || places != nil || taps != nil }

    /// Reads an option from text, lists separated by commas.
    ///
    /// - Throws: 400 if the option was set before or its text is not of its form.
    mutating func set(_ name: Name, to text: String) throws(Problem) {
        switch name {
        case .at: try set(times: Self.items(text))
        case .from: try set(places: Self.items(text))
        case .taps: throw Problem(.invalidParameter, "taps works only in a JSON body; use at and from here")
        case .normalize: try set(normalization: Self.choice(name, text))
        case .encoding: try set(encoding: Self.choice(name, text))
        case .top: try set(top: Self.wholeNumber(text))
        case .steps: try set(steps: Self.wholeNumber(text))
        case .count: try set(count: Self.wholeNumber(text))
        case .seed: try set(seed: Self.wholeNumber(text))
        }
    }

    /// Sets the times, each `end` or a number.
    mutating func set(times texts: [String]) throws(Problem) {
        try requireUnset(.at, times == nil && taps == nil)
        times = try Self.checked("at", texts) { text throws(TapError) in try TapTime(parsing: text) }
    }

    mutating func set(places texts: [String]) throws(Problem) {
        try requireUnset(.from, places == nil && taps == nil)
        places = try Self.checked("from", texts) { text throws(TapError) in try TapPlace(parsing: text) }
    }

    mutating func set(taps new: [(time: String, place: String)]) throws(Problem) {
        try requireUnset(.taps, taps == nil && times == nil && places == nil)
        taps = try Self.checked("taps", new) { tap throws(TapError) in
            Tap(time: try TapTime(parsing: tap.time), place: try TapPlace(parsing: tap.place))
        }
    }

    mutating func set(normalization new: Normalization) throws(Problem) {
        try requireUnset(.normalize, normalization == nil)
        normalization = new
    }

    mutating func set(encoding new: VectorEncoding) throws(Problem) {
        try requireUnset(.encoding, encoding == nil)
        encoding = new
    }

    mutating func set(top new: Int?) throws(Problem) { try set(\.top, .top, new, atLeast: 1) }

    mutating func set(steps new: Int?) throws(Problem) {
        try set(\.steps, .steps, new, atLeast: 2, ", both ends counted")
    }

    mutating func set(count new: Int?) throws(Problem) { try set(\.count, .count, new, atLeast: 1) }

    mutating func set(seed new: Int?) throws(Problem) {
        try set(\.seed, .seed, new, atLeast: 0, " and at most \(Int.max)")
    }

    private mutating func set(
        _ option: WritableKeyPath<Self, Int?>, _ name: Name, _ new: Int?, atLeast least: Int, _ more: String = ""
    ) throws(Problem) {
        try requireUnset(name, self[keyPath: option] == nil)
        guard let new, new >= least else {
            throw Problem(.invalidParameter, "\(name.rawValue) must be a whole number of at least \(least)\(more)")
        }
        self[keyPath: option] = new
    }

    static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: Name, _ text: String
    ) throws(Problem) -> Choice {
        guard let choice = Choice(rawValue: text) else {
            throw Problem(.invalidParameter, "\(name.rawValue) must be \(names(of: Choice.self))")
        }
        return choice
    }

    /// A choice's names, quoted.
    static func names<Choice: RawRepresentable<String> & CaseIterable>(of: Choice.Type) -> String {
        Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
    }

    /// Digits alone: `Int(_:radix:)` would take a sign too.
    private static func wholeNumber(_ text: String) -> Int? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(text) : nil
    }

    private static func items(_ text: String) -> [String] {
        text.split(separator: ",", omittingEmptySubsequences: false).map { trimmed($0) }
    }

    private static func checked<Text, Value>(
        _ name: String, _ texts: [Text], _ parse: (Text) throws(TapError) -> Value
    ) throws(Problem) -> [Value] {
        guard (1...maximumTaps).contains(texts.count) else {
            throw Problem(.invalidParameter, "\(name) has \(texts.count) values; give 1 to \(maximumTaps)")
        }
        var values: [Value] = []
        for text in texts {
            do throws(TapError) {
                values.append(try parse(text))
            } catch {
                throw Problem(.invalidParameter, "\(name): \(error)")
            }
        }
        return values
    }

    private func requireUnset(_ name: Name, _ isUnset: Bool) throws(Problem) {
        guard isUnset else {
            let names = [Name.at, .from, .taps].contains(name) ? ", or taps together with at or from" : ""
            throw Problem(.invalidParameter, "\(name.rawValue) is given twice\(names); give each once")
        }
    }
}

extension RequestOptions {
    /// The taps wanted: `taps`, or every time with every place, all places of the first time first. Without a time, that of
    /// the head is meant; without a place, that of the model's default tap. Both are for the model to know.
    func selection() throws(Problem) -> TapSelection {
        if let taps { return .taps(taps) }
        guard let places else { return times.map { .times($0) } ?? .modelDefault }
        guard let times else { return .places(places) }
        let count = times.count.multipliedReportingOverflow(by: places.count)
        guard !count.overflow, count.partialValue <= Self.maximumTaps else {
            throw Problem(
                .invalidParameter,
                "\(times.count) times at \(places.count) places make more than \(Self.maximumTaps) taps")
        }
        return .taps(times.flatMap { time in places.map { Tap(time: time, place: $0) } })
    }
}
