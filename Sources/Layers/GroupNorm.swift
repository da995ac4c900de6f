import CKernels
import Tensor

/// GroupNorm over 32 groups with epsilon 1e-5 and an affine transform (Wu and He 2018; PRG, section 1), reduced to one
/// scale and shift a channel and image, which the consuming convolution applies while it reads.
public final class GroupNorm: Sendable {
    /// Groups of every GroupNorm in the network.
    public static let groups = 32
    /// Added to the variance.
    public static let epsilon = 1e-5
    /// How many channels are normalised; a multiple of 32.
    public let channels: Int
    let gamma: AlignedBuffer
    let beta: AlignedBuffer

    /// `weight` and `bias` are PyTorch's, [channels].
    public init(weight: [Float], bias: [Float]) {
        precondition(weight.count == bias.count && weight.count % Self.groups == 0)
        channels = weight.count
        gamma = AlignedBuffer(weight)
        beta = AlignedBuffer(bias)
    }

    /// Replaces the affine transform's parameters, [channels] each. Nobody may be normalising meanwhile.
    public func update(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>) {
        gamma.pointer.update(from: weight, count: channels)
        beta.pointer.update(from: bias, count: channels)
    }

    /// Computes scale and shift, [channels] each, from the moments of image `n` of `input`.
    func coefficients(
        of input: FeatureMap, image n: Int, film: UnsafePointer<Float>?, scale: UnsafeMutablePointer<Float>,
        shift: UnsafeMutablePointer<Float>
    ) {
        let bands = input.bands
        hw_groupnorm_coefficients(
            scale, shift, input.moments + n * input.momentsStride, bands, bandRows * input.side,
            input.rows(ofBand: bands - 1) * input.side, channels, Self.groups, gamma.pointer, beta.pointer, film,
            film.map { $0 + channels }, Self.epsilon)
    }
}

/// What is applied to a map while a convolution reads it: GroupNorm, the time embedding's scale and shift, SiLU.
public struct Normalization {
    /// The time embedding's contribution: for image n, scale and shift, [2][channels], at `rows[n] + offset`.
    public struct Film {
        let rows: UnsafePointer<UnsafePointer<Float>>
        let offset: Int

        /// `rows` holds one pointer an image of the batch.
        public init(rows: UnsafePointer<UnsafePointer<Float>>, offset: Int) {
            self.rows = rows
            self.offset = offset
        }
    }

    let norm: GroupNorm
    let film: Film?
    let isActivated: Bool

    /// GroupNorm, then x·(1 + scale) + shift if `film` is given, then SiLU if `isActivated`.
    public init(_ norm: GroupNorm, film: Film? = nil, isActivated: Bool) {
        self.norm = norm
        self.film = film
        self.isActivated = isActivated
    }

    var activation: hw_activation { isActivated ? HW_AFFINE_SILU : HW_AFFINE }
}

/// The normalization of one image, ready to be applied block by block.
struct InputReader {
    let kernels: Kernels
    private let activation: hw_activation
    private let scale: UnsafeMutablePointer<Float>
    private let shift: UnsafeMutablePointer<Float>

    /// Floats of scratch that a reader of so many channels takes.
    static func scratchFloats(channels: Int) -> Int { 2 * Scratch.rounded(channels) }

    init(kernels: Kernels, channels: Int, normalization: Normalization?, scratch: inout Scratch) {
        self.kernels = kernels
        scale = scratch.take(channels)
        shift = scratch.take(channels)
        activation = normalization?.activation ?? HW_COPY
    }

    /// Computes the coefficients of image `n`.
    func prepare(_ normalization: Normalization?, for input: FeatureMap, image n: Int) {
        guard let normalization else { return }
        normalization.norm.coefficients(
            of: input, image: n, film: normalization.film.map { UnsafePointer($0.rows[n] + $0.offset) }, scale: scale,
            shift: shift)
    }

    /// Reads `pixels` pixels of channel block `block`.
    func read(_ source: UnsafePointer<Float>, pixels: Int, block: Int, into destination: UnsafeMutablePointer<Float>) {
        let offset = block * channelBlock
        kernels.table.pointee.activate(destination, source, pixels, scale + offset, shift + offset, activation)
    }
}
