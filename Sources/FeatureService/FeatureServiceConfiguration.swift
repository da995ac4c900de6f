public import ImagePipeline

/// How the service is run.
public struct FeatureServiceConfiguration: Sendable {
    /// Most images in a step.
    public var batchLimit = 8
    /// Most images waiting, those being decoded included, which bounds memory; more are refused, unless none wait.
    public var queueLimit = 1024
    /// Most work ahead of a request, in time at the present rate; requests beyond are refused. Nil for any.
    public var waitLimit: Duration? = .seconds(5)
    /// How images form batches.
    public var batching = BatchingMode.step
    /// Images decoded at a time.
    public var decoders = 2
    /// What images may be.
    public var imageLimits = ImageLimits()
    /// At what size large JPEGs are decoded.
    public var decoding = DecodingMode.scaled
    /// Bytes of answers kept in memory to be given again; 0 keeps none, and nothing is shared.
    public var cacheBytes = 0
    /// How long the engine may have work without progress before it counts as stuck.
    public var stuckAfter: Duration = .seconds(60)

    /// The defaults, which the README's figures were measured with.
    public init() {}
}

extension FeatureServiceConfiguration {
    /// A model's input, [3][side][side], of an image.
    func input(of image: FeatureInput, for served: ServedModel) -> Result<[Float], ImageFailure> {
        switch image {
        case .encoded(let bytes):
            return Result { () throws(ImageError) -> [Float] in
                try served.preprocessing.input(for: bytes, limits: imageLimits, decoding: decoding)
            }.mapError { .image($0) }
        case .normalized(let values):
            let expected = served.model.stateCount
            return values.count == expected
                ? .success(values) : .failure(.inputCount(found: values.count, expected: expected))
        }
    }
}
