import CheckpointFormats

/// The JSON body of a request for features:
///
///     {"images": ["<base64>", …], "taps": [{"time": 0.65, "place": "pooled"}, …], "normalize": "l2", …}
///
/// Instead of `taps`, `at` and `from` may stand, each a value or an array of values. Read in one pass that knows the
/// document's shape, so that nothing nests deeper than it says and no member is left unread.
struct JSONPost {
    /// The decoded images.
    private(set) var images: [[UInt8]] = []
    private var options: RequestOptions
    private let names: [RequestOptions.Name]
    private let maximumImages: Int

    /// Reads a document, adding what it asks for to `options`.
    ///
    /// - Throws: 400 with the place in the document, 413 for too many images.
    init(
        _ bytes: [UInt8], options: inout RequestOptions, names: [RequestOptions.Name], maximumImages: Int
    ) throws(Problem) {
        self.options = options
        self.names = names
        self.maximumImages = maximumImages
        try scanJSON(bytes[...]) { scanner in try read(&scanner) }
        options = self.options
    }

    private mutating func read(_ scanner: inout JSONScanner) throws {
        let known = ["images"] + names.map(\.rawValue)
        try scanner.object { scanner, member in
            guard member != "images" else { return try readImages(&scanner) }
            guard let name = names.first(where: { $0.rawValue == member }) else {
                throw Problem.unknown("member", member, known: known)
            }
            try read(name, &scanner)
        }
    }

    private mutating func readImages(_ scanner: inout JSONScanner) throws {
        try scanner.array { scanner in
            guard images.count < maximumImages else { throw Problem.tooManyImages(maximumImages) }
            let text = try scanner.string()
            do throws(Base64.DecodingFailure) {
                images.append(try Base64.decode(text))
            } catch {
                throw Problem(.malformedBody, "images[\(images.count)] is not base64: \(error.reason)")
            }
        }
    }

    private mutating func read(_ name: RequestOptions.Name, _ scanner: inout JSONScanner) throws {
        switch name {
        case .at: try options.set(times: try Self.list(&scanner))
        case .from: try options.set(places: try Self.list(&scanner))
        case .taps: try options.set(taps: try Self.taps(&scanner))
        case .normalize: try options.set(normalization: try RequestOptions.choice(name, try scanner.string()))
        case .encoding: try options.set(encoding: try RequestOptions.choice(name, try scanner.string()))
        case .top: try options.set(top: try scanner.natural())
        }
    }

    private static func list(_ scanner: inout JSONScanner) throws -> [String] {
        guard scanner.nextCharacter == "[" else { return [try token(&scanner)] }
        var items: [String] = []
        try scanner.array { scanner in
            guard items.count <= RequestOptions.maximumTaps else { throw scanner.malformed("the list is too long") }
            items.append(try token(&scanner))
        }
        return items
    }

    private static func taps(_ scanner: inout JSONScanner) throws -> [(time: String, place: String)] {
        var taps: [(time: String, place: String)] = []
        try scanner.array { scanner in
            guard taps.count <= RequestOptions.maximumTaps else { throw scanner.malformed("the list is too long") }
            var (time, place): (String?, String?)
            try scanner.object { scanner, member in
                switch member {
                case "time": time = try token(&scanner)
                case "place": place = try scanner.string()
                default: throw Problem.unknown("member of a tap", member, known: ["time", "place"])
                }
            }
            guard let time, let place else { throw scanner.malformed("a tap needs both time and place") }
            taps.append((time, place))
        }
        return taps
    }

    /// A string, or a number as text.
    static func token(_ scanner: inout JSONScanner) throws -> String {
        scanner.nextCharacter == "\"" ? try scanner.string() : Float(try scanner.decimal()).description
    }
}

/// Reads a JSON document by what `read` expects of it.
///
/// - Throws: 400 with the place for a document of another form, and what `read` throws.
func scanJSON(_ bytes: ArraySlice<UInt8>, _ read: (inout JSONScanner) throws -> Void) throws(Problem) {
    do {
        try bytes.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            try read(&scanner)
            try scanner.end()
        }
    } catch let problem as Problem {
        throw problem
    } catch let error as CheckpointError {
        throw Problem(.malformedBody, error.description)
    } catch {
        throw Problem(.internalError, "the body can't be read")
    }
}
