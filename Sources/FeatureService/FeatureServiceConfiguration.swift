import ImagePipeline

package struct FeatureServiceConfiguration: Sendable {
    package var batchLimit = 8
    /// Most images waiting, those being decoded included, which bounds memory; more are refused, unless none wait.
    package var queueLimit = 1024
    /// Most work ahead of a request, in time at the present rate; requests beyond are refused. Nil for any.
    package var waitLimit: Duration? = .seconds(5)
    package var batching = BatchingMode.step
    package var decoders = 2
    package var imageLimits = ImageLimits()
    package var decoding = DecodingMode.scaled
    /// Bytes of answers kept in memory to be given again; 0 keeps none, and nothing is shared.
    package var cacheBytes = 0
    /// How long the engine may have work without progress before it counts as stuck.
    package var stuckAfter: Duration = .seconds(60)

    /// The defaults.
    package init() {}
}

extension FeatureServiceConfiguration {
    /// Where a model's pass begins, [3][side][side]: the input of an image, or a latent.
    func input(of image: FeatureInput, for served: ServedModel) -> Result<[Float], ImageFailure> {
        switch image {
        case .encoded(let bytes):
            return Result { () throws(ImageError) -> [Float] in
                try served.preprocessing.input(for: bytes, limits: imageLimits, decoding: decoding)
            }.mapError { .image($0) }
        case .noise(let noise, let index):
            return .success(noise.numbers(ofImage: index, count: served.model.stateCount))
        case .latent(let path, let fraction): return checked(path.latent(at: fraction), for: served)
        case .normalized(let values): return checked(values, for: served)
        }
    }

    private func checked(_ values: [Float], for served: ServedModel) -> Result<[Float], ImageFailure> {
        let expected = served.model.stateCount
        return values.count == expected
            ? .success(values) : .failure(.inputCount(found: values.count, expected: expected))
    }
}
