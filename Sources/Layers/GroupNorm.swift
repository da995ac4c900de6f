import CKernels
import Tensor

/// GroupNorm over 32 groups with an affine transform (Wu and He 2018; PRG, section 1), reduced to one
/// scale and shift a channel and image, which the consuming convolution applies while it reads.
public final class GroupNorm: Sendable {
    /// Groups of every GroupNorm in the network.
    public static let groups = 32
    /// Added to the variance.
    public let epsilon: Double
    /// How many channels are normalised; a multiple of 32.
    public let channels: Int
    let gamma: AlignedBuffer
    let beta: AlignedBuffer

    /// `weight` and `bias` are PyTorch's, [channels]; `epsilon` is added to the variance.
    public init(weight: [Float], bias: [Float], epsilon: Double) {
        precondition(weight.count == bias.count && weight.count % Self.groups == 0)
        channels = weight.count
        self.epsilon = epsilon
        gamma = AlignedBuffer(weight)
        beta = AlignedBuffer(bias)
    }

    /// Replaces the affine transform's parameters, [channels] each. No other call may be running.
    public func update(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>) {
        gamma.pointer.update(from: weight, count: channels)
        beta.pointer.update(from: bias, count: channels)
    }

    /// Computes scale and shift, [channels] each, from the moments of image `n` of `input`.
    func coefficients(
        of input: FeatureMap, image n: Int, modulation: InputTransform.Modulation?, scale: UnsafeMutablePointer<Float>,
        shift: UnsafeMutablePointer<Float>
    ) {
        let bands = input.bands
        let modulation = modulation.values(ofImage: n, channels: channels)
        hw_groupnorm_coefficients(
            scale, shift, input.moments + n * input.momentsStride, bands, bandRows * input.side,
            input.rows(ofBand: bands - 1) * input.side, channels, Self.groups, gamma.pointer, beta.pointer,
            modulation.scale, modulation.shift, modulation.addend, epsilon)
    }
}
