public import FlowModel
public import ImagePipeline

extension Preprocessing {
    /// The transform that a model's configuration describes.
    public init(_ configuration: PreprocessingConfiguration) throws(InvalidParameters) {
        try self.init(
            resizeShorterSide: configuration.resizeShorterSide, cropSize: configuration.cropSize,
            mean: configuration.mean, standardDeviation: configuration.standardDeviation)
    }
}
