import Digests
import FeatureService
import HTTPServer
import ImagePipeline
import JSON
import ReverseODE

/// A pass to the end of the grid and back, as responses show it.
enum RoundTrip {
    /// The most states shown of each direction.
    static let maximumStates = 64
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
        let error = RoundTripError(input: input, reconstruction: reconstruction, preprocessing: preprocessing)
        var json = JSONWriter(capacity: 1024 + states.count * input.count * 2)
        do {
            try json.object { json in
                writeModel(&json)
                json.member("size", preprocessing.cropSize)
                try write("upstream", states.filter { $0.0.direction == .upstream }, preprocessing, &json)
                try write("downstream", states.filter { $0.0.direction == .downstream }, preprocessing, &json)
                try json.object("roundTrip") { json in
                    try json.member("relativeError", error.relative)
                    try json.member("meanAbsoluteError", error.meanAbsolute)
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
