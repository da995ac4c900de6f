import FlowModel
import ImagePipeline

extension Preprocessing {
    /// The transform that a model's configuration describes.
    package init(_ configuration: PreprocessingConfiguration) throws(InvalidParameters) {
        try self.init(
            resizeShorterSide: configuration.resizeShorterSide, cropSize: configuration.cropSize,
            mean: configuration.mean, standardDeviation: configuration.standardDeviation)
    }
}
