import HTTPServer
import JSON
import ReverseODE

/// What `GET /model` answers: the model, and whether the service makes images with it.
struct ServedModelDescription: Encodable {
    let model: ModelDescription
    /// The most images that a request may have made; nil if the service makes none.
    let maximumSamples: Int?

    private enum Member: String, CodingKey { case generation, maxSamples }

    func encode(to encoder: any Encoder) throws {
        try model.encode(to: encoder)
        var members = encoder.container(keyedBy: Member.self)
        guard let maximumSamples else { return try members.encodeNil(forKey: .generation) }
        var generation = members.nestedContainer(keyedBy: Member.self, forKey: .generation)
        try generation.encode(maximumSamples, forKey: .maxSamples)
    }

    func response() throws(JSONError) -> Response {
        let document = try JSONCoder.text(self, indented: true) + "\n"
        return Response(headers: ["Content-Type": "application/json"], body: Array(document.utf8))
    }
}
