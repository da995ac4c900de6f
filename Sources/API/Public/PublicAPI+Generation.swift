import FeatureService
import HTTPServer
import ReverseODE

/// The operations that make images.
extension PublicAPI {
    /// `POST /sample`.
    func sample(
        _ request: Request, _ call: GenerationCall, _ observation: inout RequestObservation
    ) async throws(Problem) -> Response {
        let options = try options(of: request, call)
        let (count, seed) = (options.count ?? 1, options.seed ?? 1)
        try requireFew(count, "count")
        let noise = GenerationNoise(seed: UInt64(seed))
        var wanted = FeatureRequest(.generatedImage(fromNoise: true))
        wanted.deadline = call.deadline.instant()
        wanted.memory = request.memoryOfPictures
        let results = try await features((0..<count).map { .noise(noise, image: $0) }, wanted, &observation)
        return try await written(results) { () throws(Problem) in try results.samples(seed: seed) }
    }

    /// `POST /interpolate`.
    func interpolate(
        _ request: Request, _ call: ImageCall, _ observation: inout RequestObservation
    ) async throws(Problem) -> Response {
        let posted = try await images(of: request, call)
        let steps = posted.options.steps ?? min(Interpolation.usualSteps, configuration.maximumSamples)
        try requireFew(steps, "steps")
        let deadline = call.deadline.instant()
        while true {
            var wanted = FeatureRequest(.latent)
            wanted.deadline = deadline
            wanted.memory = request.memoryOfPictures
            let encoded = try await features(posted.images.map { .encoded($0) }, wanted, &observation)
            let latents = try encoded.features(called: "images").map { $0.values[0] }
            let path = LatentPath(from: latents[0], to: latents[1])
            wanted.taps = .generatedImage(fromNoise: false)
            let version = encoded.response.served.version
            wanted.model = ModelRequirement(name: version.name, version: version.sha256)
            let fractions = (0..<steps).map { Double($0) / Double(steps - 1) }
            let results: FeatureResults
            do throws(Problem) {
                results = try await features(fractions.map { .latent(path, at: $0) }, wanted, &observation)
            } catch  where error.code == .modelNotFound {
                // The model has changed, and its latents mean nothing to the new one.
                continue
            }
            return try await written(results) { () throws(Problem) in
                try results.interpolation(Interpolation(cosine: path.cosine, steps: steps))
            }
        }
    }

    private func options(of request: Request, _ call: GenerationCall) throws(Problem) -> RequestOptions {
        guard !request.bytes.isEmpty else { return call.options }
        guard call.isJSON else { throw .jsonNeeded }
        var options = call.options
        _ = try JSONPost(request.bytes, options: &options, names: call.optionNames, maximumImages: 0)
        return options
    }

    /// Refuses to make more images than a request may have.
    private func requireFew(_ count: Int, _ option: String) throws(Problem) {
        let limit = configuration.maximumSamples
        guard count <= limit else {
            throw Problem(
                .tooManyImages,
                "\(option) is \(count), and the service makes at most \(limit) image\(limit == 1 ? "" : "s") a request")
        }
    }
}
