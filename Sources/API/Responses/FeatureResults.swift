import Digests
import FeatureService
import Files
import HTTPServer
import JSON

/// The results of a request in its order, and what the documents say in addition to them.
struct FeatureResults: Sendable {
    let response: FeatureResponse
    /// Where the time of the whole request went.
    let timings: FeatureTimings
    let requestID: String

    /// These results, unless they are a single image's failure; the failures of one among several are written in their
    /// places.
    ///
    /// - Throws: that image's problem.
    func unlessSingleFailure() throws(Problem) -> FeatureResults {
        if response.results.count == 1, case .failure(let failure) = response.results[0] { throw Problem(failure) }
        return self
    }

    /// `name@version` of the model, which responses of every form have in a header.
    static func modelHeader(_ version: ModelVersion) -> String { "\(version.name)@\(version.label)" }

    func respond(_ format: ResultFormat, _ body: [UInt8]) -> Response {
        var headers: HTTPHeaders = [
            "Content-Type": format.rawValue, "X-Model-Version": Self.modelHeader(response.served.version),
            "Server-Timing": Self.timingHeader(timings),
        ]
        if let cache = CacheOutcome(response.sources) { headers["Cache-Status"] = cache.status }
        return Response(headers: headers, body: body)
    }

    /// The timings as browsers and load generators read them (W3C Server Timing): milliseconds, to the microsecond.
    static func timingHeader(_ timings: FeatureTimings) -> String {
        func metric(_ name: String, _ seconds: Double) -> String {
            let microseconds = Int((seconds * 1e6).rounded())
            let fraction = String(1000 + microseconds % 1000).dropFirst()
            return "\(name);dur=\(microseconds / 1000).\(fraction)"
        }
        return [
            metric("decode", timings.decode), metric("queue", timings.queue), metric("inference", timings.inference),
        ].joined(separator: ", ")
    }

    // MARK: /embed

    /// The embeddings as a JSON document.
    func embeddings(normalization: Normalization, encoding: VectorEncoding) throws(Problem) -> Response {
        try document(estimate: encoding.bytesPerNumber) { json, features in
            try json.array("taps", of: zip(features.taps, features.values)) { json, tap in
                let values = normalization.applied(to: tap.1)
                try json.object { json in
                    try json.member("time", tap.0.time)
                    json.member("place", tap.0.place.description)
                    json.member("dimension", tap.0.dimension)
                    try json.member(embedding: values, encoding)
                }
            }
        }
    }

    /// The embeddings of each image's first tap as a NumPy array [images, dimension].
    ///
    /// - Throws: as `features(called:)`.
    func embeddingsArray(normalization: Normalization) throws(Problem) -> Response {
        let rows = try features(called: "images").map { normalization.applied(to: $0.values[0]) }
        let header = NumPyArray.header(rows: rows.count, columns: rows.first?.count ?? 0)
        return respond(.npy, rows.reduce(into: header) { $0 += NumPyArray.bytes($1) })
    }

    /// The features of every image.
    ///
    /// - Parameters:
    ///   - inputs: what an error calls the images.
    ///   - kind: what their passes began with.
    /// - Throws: the problem of the first image that failed, for answers that have no place for it.
    func features(called inputs: String, of kind: PassInput = .image) throws(Problem) -> [ImageFeatures] {
        var all: [ImageFeatures] = []
        for (index, result) in response.results.enumerated() {
            switch result {
            case .success(let features): all.append(features)
            case .failure(let failure):
                throw Problem(failure, of: kind).located(in: "\(inputs)[\(index)]")
            }
        }
        return all
    }

    /// The features of the only image.
    ///
    /// - Parameter input: what an error calls it.
    /// - Throws: its problem.
    func feature(called input: String) throws(Problem) -> ImageFeatures {
        switch response.results[0] {
        case .success(let features): return features
        case .failure(let failure): throw Problem(failure).located(in: input)
        }
    }

    // MARK: /classify

    /// The logits and probabilities as a JSON document, and the `top` likeliest classes if that is given.
    func classes(top: Int?) throws(Problem) -> Response {
        let labels = response.served.configuration.labels
        return try document(estimate: 34) { json, features in
            let logits = features.logits ?? []
            let probabilities = logits.softmax()
            try json.member("logits") { try $0.numbers(logits) }
            try json.member("probabilities") { try $0.numbers(probabilities) }
            guard let top else { return }
            try json.array("top", of: probabilities.ranking(top)) { json, index in
                try json.object { json in
                    if let labels { json.member("label", labels[index]) }
                    json.member("index", index)
                    try json.member("probability", probabilities[index])
                }
            }
        } labels: { json in
            if let labels { json.member("labels", labels) } else { json.null("labels") }
        }
    }

    // MARK: What the documents share

    /// - Parameter estimate: bytes a number takes, so that the document is allocated once.
    private func document(
        estimate: Int, _ members: (inout JSONWriter, ImageFeatures) throws -> Void,
        labels: (inout JSONWriter) -> Void = { _ in }
    ) throws(Problem) -> Response {
        var json = JSONWriter(capacity: 1024 + estimate * numberCount)
        do {
            try json.object { json in
                writeModel(&json)
                labels(&json)
                try json.array("results", of: response.results.enumerated()) { json, result in
                    try json.object { json in
                        json.member("index", result.offset)
                        switch result.element {
                        case .success(let features): try members(&json, features)
                        case .failure(let failure):
                            json.object("error") { Problem(failure).write(members: &$0, requestID: requestID) }
                        }
                    }
                }
                try writeTimings(&json)
            }
        } catch {
            throw .notFiniteResult
        }
        return respond(.json, json.bytes)
    }

    var numberCount: Int {
        response.results.reduce(0) { sum, result in
            guard case .success(let features) = result else { return sum }
            return sum + features.values.reduce(features.logits?.count ?? 0) { $0 + $1.count }
        }
    }

    func writeModel(_ json: inout JSONWriter) {
        json.object("model") { json in
            json.member("name", response.served.version.name)
            json.member("version", response.served.version.label)
            json.member("precision", response.served.model.precision.rawValue)
        }
    }

    func writeTimings(_ json: inout JSONWriter) throws {
        try json.object("timings") { json in
            try json.member("decode", timings.decode)
            try json.member("queue", timings.queue)
            try json.member("inference", timings.inference)
        }
    }
}

extension Problem {
    static let notFiniteResult = Problem(.internalError, "a result that is not finite reached the writer")
}

extension JSONWriter {
    /// Writes the member `embedding`.
    ///
    /// - Throws: `NonFiniteNumber` for numbers that JSON can't express.
    mutating func member(embedding values: [Float], _ encoding: VectorEncoding) throws {
        try member("embedding") { json in
            switch encoding {
            case .float: try json.numbers(values)
            case .base64: json.unescapedString(Base64.encode(NumPyArray.bytes(values)))
            }
        }
    }
}

extension Normalization {
    func applied(to values: [Float]) -> [Float] { self == .l2 ? values.scaledToUnitLength() : values }
}
