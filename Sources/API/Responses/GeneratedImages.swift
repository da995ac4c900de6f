import Digests
import FeatureService
import HTTPServer
import ImagePipeline
import JSON
import ReverseODE

/// A way from one image to another through their latents.
struct Interpolation: Sendable {
    /// Images shown if a request doesn't say how many.
    static let usualSteps = 9

    /// The cosine of the angle between the latents.
    let cosine: Double
    /// Images on the way, both ends among them.
    let steps: Int
}

extension FeatureResults {
    /// Images from noise.
    func samples(seed: Int) throws(Problem) -> Response {
        try images { json, pictures in
            json.member("seed", seed)
            try json.array("images", of: pictures.enumerated()) { json, picture in
                try json.object { json in
                    json.member("index", picture.offset)
                    try json.member("image", picture: picture.element)
                }
            }
        }
    }

    /// Images on the way from one to another.
    func interpolation(_ interpolation: Interpolation) throws(Problem) -> Response {
        let grid = response.served.model.grid
        return try images { json, pictures in
            try json.object("latents") { json in
                try json.member("time", grid.times[grid.steps])
                try json.member("cosine", interpolation.cosine)
            }
            try json.array("images", of: pictures.enumerated()) { json, picture in
                try json.object { json in
                    try json.member("position", Double(picture.offset) / Double(interpolation.steps - 1))
                    try json.member("image", picture: picture.element)
                }
            }
        }
    }

    /// A document of the images that passes have come to.
    private func images(
        _ members: (inout JSONWriter, [RGBImage]) throws -> Void
    ) throws(Problem) -> Response {
        let (flow, preprocessing) = (response.served.configuration.flow, response.served.preprocessing)
        let pictures = try features(called: "the answer's images", of: .latent).map {
            preprocessing.picture(of: flow.imageValues(ofState: $0.values[0]))
        }
        var json = JSONWriter(capacity: 1024 + numberCount * 2)
        do {
            try json.object { json in
                writeModel(&json)
                json.member("size", preprocessing.cropSize)
                try members(&json, pictures)
                try writeTimings(&json)
            }
        } catch {
            throw Problem(.internalError, "the images can't be written: \(error)")
        }
        return respond(.json, json.bytes)
    }
}

extension JSONWriter {
    /// Writes a picture as a PNG file in a `data:` URI.
    mutating func member(_ name: StaticString, picture: RGBImage) throws {
        let file = try picture.png()
        member(name) { $0.unescapedString(Array("data:image/png;base64,".utf8) + Base64.encode(file)) }
    }
}
