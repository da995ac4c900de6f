import CKernels
import Tensor

/// What a layer does to a map while it reads it: GroupNorm with the time embedding's modulation, SiLU.
public struct InputTransform {
    let norm: GroupNorm
    let modulation: Modulation?
    let isActivated: Bool

    /// What the time embedding does.
    public typealias Modulation = ModulationRows<UnsafePointer<Float>>

    /// GroupNorm, modulated if `modulation` is given, then SiLU if `isActivated`.
    public init(_ norm: GroupNorm, modulation: Modulation? = nil, isActivated: Bool) {
        self.norm = norm
        self.modulation = modulation
        self.isActivated = isActivated
    }

    var activation: hw_activation { isActivated ? HW_AFFINE_SILU : HW_AFFINE }
}

/// What a time embedding does to the channels of a map that is normalised.
public enum ModulationKind: Sendable {
    /// x·(1 + scale) + shift after the normalisation.
    case scaleAndShift
    /// x + addend before it.
    case addend

    /// Numbers that a channel takes.
    public var numbersPerChannel: Int { self == .scaleAndShift ? 2 : 1 }
}

/// Numbers for the modulation of a transform's channels: for image n, scales and then shifts, or addends, [channels] each, at
/// `rows[n] + offset`.
public struct ModulationRows<Row: Strideable> where Row.Stride == Int {
    let kind: ModulationKind
    let rows: UnsafePointer<Row>
    let offset: Int

    /// `rows` holds one pointer an image of the batch.
    public init(_ kind: ModulationKind, rows: UnsafePointer<Row>, offset: Int) {
        self.kind = kind
        self.rows = rows
        self.offset = offset
    }
}

extension Optional {
    /// What there is for `channels` channels of image n.
    func values<Row>(ofImage n: Int, channels: Int) -> (scale: Row?, shift: Row?, addend: Row?)
    where Wrapped == ModulationRows<Row> {
        guard let self else { return (nil, nil, nil) }
        let row = self.rows[n].advanced(by: self.offset)
        switch self.kind {
        case .scaleAndShift: return (row, row.advanced(by: channels), nil)
        case .addend: return (nil, nil, row)
        }
    }
}

/// The transform of one image, ready to be applied block by block.
struct InputReader {
    let kernels: Kernels
    private let activation: hw_activation
    private let scale: UnsafeMutablePointer<Float>
    private let shift: UnsafeMutablePointer<Float>

    /// Floats of scratch that a reader of so many channels takes.
    static func scratchFloats(channels: Int) -> Int { 2 * Scratch.rounded(channels) }

    /// - Parameter factor: what a map without a transform is multiplied by.
    init(_ call: ConvolutionCall, factor: Float = 1, scratch: inout Scratch) {
        precondition(call.transform == nil || factor == 1)
        let channels = call.input.blocks * channelBlock
        kernels = call.workspace.kernels
        scale = scratch.take(channels)
        shift = scratch.take(channels)
        activation = call.transform?.activation ?? (factor == 1 ? HW_COPY : HW_AFFINE)
        guard factor != 1 else { return }
        scale.update(repeating: factor, count: channels)
        shift.update(repeating: 0, count: channels)
    }

    /// Computes the coefficients of image `n`.
    func prepare(_ transform: InputTransform?, for input: FeatureMap, image n: Int) {
        guard let transform else { return }
        transform.norm.coefficients(
            of: input, image: n, modulation: transform.modulation, scale: scale, shift: shift)
    }

    /// Reads `pixels` pixels of channel block `block`.
    func read(_ source: UnsafePointer<Float>, pixels: Int, block: Int, into destination: UnsafeMutablePointer<Float>) {
        let offset = block * channelBlock
        kernels.table.pointee.activate(destination, source, pixels, scale + offset, shift + offset, activation)
    }
}
