import JSON

/// The JSON body of a request for features, or of one for images from noise, which has options only:
///
///     {"images": ["<base64>", …], "taps": [{"time": 0.65, "place": "pooled"}, …], "normalize": "l2", …}
///
/// Instead of `taps`, `at` and `from` may be given, each a value or an array of values. Images may also be `data:` URIs. A
/// member that is null counts as absent. Read in one pass that knows the document's shape, so that nothing nests deeper than it
/// says and no member is left unread.
struct JSONPost {
    private(set) var images: [[UInt8]] = []
    private var options: RequestOptions
    private let names: [RequestOptions.Name]
    private let minimumImages: Int
    private let maximumImages: Int

    /// Reads a document, adding what it asks for to `options`.
    ///
    /// - Parameters:
    ///   - minimumImages: the fewest images that the caller will accept, for the error that tells of too many.
    ///   - maximumImages: the most images; 0 if the document has no place for any.
    /// - Throws: 400 with the place in the document, 413 for too many images.
    init(
        _ bytes: [UInt8], options: inout RequestOptions, names: [RequestOptions.Name], minimumImages: Int = 1,
        maximumImages: Int
    ) throws(Problem) {
        self.options = options
        self.names = names
        self.minimumImages = minimumImages
        self.maximumImages = maximumImages
        try scanJSON(bytes[...]) { scanner in try read(&scanner) }
        options = self.options
    }

    private mutating func read(_ scanner: inout JSONReader) throws {
        let known = (maximumImages > 0 ? ["images"] : []) + names.map(\.rawValue)
        try scanner.object { scanner, member in
            let name = names.first { $0.rawValue == member }
            guard known.contains(member) else { throw Problem.unknown("member", member, known: known) }
            guard scanner.nextCharacter != "n" else { return try scanner.skipValue(depth: 1) }
            if let name { try read(name, &scanner) } else { try readImages(&scanner) }
        }
    }

    private mutating func readImages(_ scanner: inout JSONReader) throws {
        guard scanner.nextCharacter == "[" else { throw scanner.mismatch("an array of base64 strings") }
        try scanner.array { scanner in
            guard images.count < maximumImages else {
                throw Problem.tooManyImages(maximumImages, needed: minimumImages)
            }
            let text = try scanner.string("a base64 string")
            do throws(InlineFile.Refusal) {
                images.append(try InlineFile.bytes(text))
            } catch {
                throw scanner.invalid(error.reason)
            }
        }
    }

    private mutating func read(_ name: RequestOptions.Name, _ scanner: inout JSONReader) throws {
        switch name {
        case .at: try options.set(times: try Self.list(&scanner, of: Self.timeType) { try Self.time(&$0, $1) })
        case .from: try options.set(places: try Self.list(&scanner, of: "a string") { try $0.string($1) })
        case .taps: try options.set(taps: try Self.taps(&scanner))
        case .normalize: try options.set(normalization: try Self.choice(name, &scanner))
        case .encoding: try options.set(encoding: try Self.choice(name, &scanner))
        case .top: try options.set(top: try scanner.natural())
        case .steps: try options.set(steps: try scanner.natural())
        case .count: try options.set(count: try scanner.natural())
        case .seed: try options.set(seed: try scanner.natural())
        }
    }

    static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: RequestOptions.Name, _ scanner: inout JSONReader
    ) throws -> Choice {
        try RequestOptions.choice(name, try scanner.string("a string, \(RequestOptions.names(of: Choice.self))"))
    }

    /// Reads an array of items, or one item alone.
    ///
    /// - Parameters:
    ///   - type: what an item must be.
    ///   - item: reads one, with what an error says that it must be.
    private static func list(
        _ scanner: inout JSONReader, of type: String, _ item: (inout JSONReader, String) throws -> String
    ) throws -> [String] {
        guard scanner.nextCharacter == "[" else { return [try item(&scanner, "\(type), or an array of these")] }
        var items: [String] = []
        try scanner.array { scanner in
            guard items.count <= RequestOptions.maximumTaps else { throw tooManyTaps }
            items.append(try item(&scanner, type))
        }
        return items
    }

    private static func taps(_ scanner: inout JSONReader) throws -> [(time: String, place: String)] {
        var taps: [(time: String, place: String)] = []
        try scanner.array { scanner in
            guard taps.count <= RequestOptions.maximumTaps else { throw tooManyTaps }
            var (time, place): (String?, String?)
            try scanner.object { scanner, member in
                switch member {
                case "time": time = try Self.time(&scanner)
                case "place": place = try scanner.string()
                default: throw Problem.unknown("member of a tap", member, known: ["time", "place"])
                }
            }
            guard let time, let place else { throw scanner.invalid("needs both time and place") }
            taps.append((time, place))
        }
        return taps
    }

    private static let tooManyTaps = Problem(
        .invalidParameter, "an image may have at most \(RequestOptions.maximumTaps) taps")

    static let timeType = "a number or a string, such as \"end\""

    /// Reads a time: a string, or a number, which is given as text.
    static func time(_ scanner: inout JSONReader, _ type: String = timeType) throws -> String {
        scanner.nextIsNumber ? Float(try scanner.decimal()).description : try scanner.string(type)
    }
}

/// Reads a JSON document by what `read` expects of it.
///
/// - Throws: 400 with the place for a document of another form, and what `read` throws.
func scanJSON(_ bytes: ArraySlice<UInt8>, _ read: (inout JSONReader) throws -> Void) throws(Problem) {
    guard !bytes.isEmpty else { throw Problem(.malformedBody, "the body is empty; it must be JSON") }
    do {
        try JSONReader.read(bytes, read)
    } catch let problem as Problem {
        throw problem
    } catch let error as JSONError {
        throw Problem(.malformedBody, error.description)
    } catch {
        throw Problem(.internalError, "the body can't be read")
    }
}
