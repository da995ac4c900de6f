import Digests
import HTTPServer
import ImagePipeline
import JSON
import ReverseODE

/// The difference between an image and its reconstruction after the way to noise and back.
struct RoundTrip: Sendable {
    /// The most states shown of each direction.
    static let maximumStates = 64

    /// Euclidean length of the difference over that of the input, in the model's own numbers.
    let relativeError: Double
    /// Mean over all samples of the absolute difference of the two pictures, in levels of 0...255.
    let meanAbsoluteError: Double

    init(input: [Float], reconstruction: [Float], preprocessing: Preprocessing) {
        var (difference, norm) = (0.0, 0.0)
        for (before, after) in zip(input, reconstruction) {
            difference += (Double(after) - Double(before)) * (Double(after) - Double(before))
            norm += Double(before) * Double(before)
        }
        // An input of zeros, an image in the mean's colour, has no length to divide by.
        relativeError = norm > 0 ? (difference / norm).squareRoot() : difference.squareRoot()
        let (before, after) = (preprocessing.picture(of: input), preprocessing.picture(of: reconstruction))
        let sum = zip(before.pixels, after.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
        meanAbsoluteError = Double(sum) / Double(before.pixels.count)
    }
}

extension FeatureResults {
    /// The states of one image on the way to noise and back, as pictures, and the error of the round trip.
    func roundTrip() throws(Problem) -> Response {
        guard case .success(let features) = response.results.first else {
            throw Problem(.internalError, "the pass left no states")
        }
        // States have the same variance everywhere, which isn't the image's own on every flow.
        let flow = response.served.configuration.flow
        let values = features.values.map { flow.imageValues(ofState: $0) }
        guard let input = values.first, let reconstruction = values.last else {
            throw Problem(.internalError, "the pass left no states")
        }
        let states = Array(zip(features.taps, values))
        let preprocessing = response.served.preprocessing
        let error = RoundTrip(input: input, reconstruction: reconstruction, preprocessing: preprocessing)
        var json = JSONWriter(capacity: 1024 + states.count * input.count * 2)
        do {
            try json.object { json in
                writeModel(&json)
                json.member("size", preprocessing.cropSize)
                try write("upstream", states.filter { $0.0.direction == .upstream }, preprocessing, &json)
                try write("downstream", states.filter { $0.0.direction == .downstream }, preprocessing, &json)
                try json.object("roundTrip") { json in
                    try json.member("relativeError", error.relativeError)
                    try json.member("meanAbsoluteError", error.meanAbsoluteError)
                }
                try writeTimings(&json)
            }
        } catch {
            throw Problem(.internalError, "the pass can't be shown: \(error)")
        }
        return respond(.json, json.bytes)
    }

    private func write(
        _ name: StaticString, _ states: [(ResolvedTap, [Float])], _ preprocessing: Preprocessing,
        _ json: inout JSONWriter
    ) throws {
        try json.array(name, of: states) { json, state in
            try json.object { json in
                try json.member("time", state.0.time)
                try json.member("image", picture: preprocessing.picture(of: state.1))
            }
        }
    }
}
