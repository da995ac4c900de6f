/// How the workers of a pool divide the sums of gradients with respect to weights.
public enum GradientSums: Sendable {
    /// By images or by output channels, as is fastest for the layer: the last bits depend on the number of workers.
    case fastest
    /// By output channels alone: the bits are the same for any number of workers, each of which transforms all images.
    case independentOfWorkers
}
