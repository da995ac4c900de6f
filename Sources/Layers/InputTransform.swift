import CKernels
import Tensor

/// What a convolution does to a map while it reads it: GroupNorm, the time embedding's scale and shift, SiLU.
public struct InputTransform {
    let norm: GroupNorm
    let modulation: Modulation?
    let isActivated: Bool

    /// The time embedding's scale and shift.
    public typealias Modulation = ModulationRows<UnsafePointer<Float>>

    /// GroupNorm, then x·(1 + scale) + shift if `modulation` is given, then SiLU if `isActivated`.
    public init(_ norm: GroupNorm, modulation: Modulation? = nil, isActivated: Bool) {
        self.norm = norm
        self.modulation = modulation
        self.isActivated = isActivated
    }

    var activation: hw_activation { isActivated ? HW_AFFINE_SILU : HW_AFFINE }
}

/// Numbers for the scales and shifts of a transform's channels: for image n, [2][channels] at `rows[n] + offset`.
public struct ModulationRows<Row: Strideable> where Row.Stride == Int {
    let rows: UnsafePointer<Row>
    let offset: Int

    /// `rows` holds one pointer an image of the batch.
    public init(rows: UnsafePointer<Row>, offset: Int) {
        self.rows = rows
        self.offset = offset
    }

    func values(ofImage n: Int) -> Row { rows[n].advanced(by: offset) }
}

/// The transform of one image, ready to be applied block by block.
struct InputReader {
    let kernels: Kernels
    private let activation: hw_activation
    private let scale: UnsafeMutablePointer<Float>
    private let shift: UnsafeMutablePointer<Float>

    /// Floats of scratch that a reader of so many channels takes.
    static func scratchFloats(channels: Int) -> Int { 2 * Scratch.rounded(channels) }

    init(_ call: ConvolutionCall, scratch: inout Scratch) {
        kernels = call.workspace.kernels
        scale = scratch.take(call.input.blocks * channelBlock)
        shift = scratch.take(call.input.blocks * channelBlock)
        activation = call.transform?.activation ?? HW_COPY
    }

    /// Computes the coefficients of image `n`.
    func prepare(_ transform: InputTransform?, for input: FeatureMap, image n: Int) {
        guard let transform else { return }
        transform.norm.coefficients(
            of: input, image: n, modulation: transform.modulation?.values(ofImage: n), scale: scale, shift: shift)
    }

    /// Reads `pixels` pixels of channel block `block`.
    func read(_ source: UnsafePointer<Float>, pixels: Int, block: Int, into destination: UnsafeMutablePointer<Float>) {
        let offset = block * channelBlock
        kernels.table.pointee.activate(destination, source, pixels, scale + offset, shift + offset, activation)
    }
}
