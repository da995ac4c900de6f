import CKernels
import Tensor

/// What takes a gradient through an activation, and leaves the sums that the normalisation before it needs.
package struct ActivationGradient {
    /// What was normalised.
    let input: FeatureMap
    /// [images][channels/16][4][16], as `hw_groupnorm_gradient_prepare` makes them.
    let coefficients: UnsafePointer<Float>
    let activation: hw_activation

    /// Changes `gradient` in place and leaves its sums as its moments.
    func apply(to gradient: FeatureMap, image: Int, block: Int, bands: Range<Int>, kernels: Kernels) {
        let own = coefficients + (image * gradient.blocks + block) * 4 * channelBlock
        for band in bands {
            let offset = block * gradient.blockStride + band * bandRows * gradient.side * channelBlock
            kernels.table.pointee.activate_gradient(
                gradient.momentsOf(image, block: block, band: band), gradient.image(image) + offset,
                input.image(image) + offset, gradient.rows(ofBand: band) * gradient.side, own, activation)
        }
    }
}

/// The gradients of one transform of a convolution's input.
///
/// The convolution's input gradient is taken through the activation as it is written (`Call`); `finish` then takes
/// it through GroupNorm, which needs sums over all of a group. Gradients by the parameters add up until `addGradients`.
public final class InputTransformGradient {
    private let norm: GroupNorm
    private let isActivated: Bool
    private let coefficients: AlignedBuffer
    private let partial: AlignedBuffer
    private let sums: AlignedBuffer
    private var channels: Int { norm.channels }
    private var blocks: Int { FeatureMap.blocks(norm.channels) }

    /// Where the gradients with respect to the time embedding's modulation go.
    public typealias ModulationGradient = ModulationRows<UnsafeMutablePointer<Float>>

    /// A transform on the way back: its gradient, the map that it read, and the modulation that it applied.
    public struct Call {
        let gradient: InputTransformGradient
        let input: FeatureMap
        let modulation: InputTransform.Modulation?

        /// What a convolution's `inputGradient` is taken through as it is written.
        public init(_ gradient: InputTransformGradient, input: FeatureMap, modulation: InputTransform.Modulation?) {
            self.gradient = gradient
            self.input = input
            self.modulation = modulation
        }
    }

    /// Allocates for `capacity` images; `isActivated` says whether SiLU follows.
    public init(_ norm: GroupNorm, isActivated: Bool, capacity: Int) {
        self.norm = norm
        self.isActivated = isActivated
        coefficients = AlignedBuffer(count: capacity * FeatureMap.blocks(norm.channels) * 4 * channelBlock)
        partial = AlignedBuffer(count: capacity * 2 * norm.channels)
        sums = AlignedBuffer(count: 2 * norm.channels)
    }

    /// Computes what the first `batch` images of `input`, the transformed map, need on the way back.
    fileprivate func activation(
        of input: FeatureMap, modulation: InputTransform.Modulation?, batch: Int, on workspace: Workspace
    ) -> ActivationGradient {
        workspace.pool.forEach(batch) { [self] n in
            let modulation = modulation.values(ofImage: n, channels: channels)
            hw_groupnorm_gradient_prepare(
                coefficients.pointer + n * blocks * 4 * channelBlock, input.moments + n * input.momentsStride,
                input.bands, bandRows * input.side, input.rows(ofBand: input.bands - 1) * input.side, channels,
                GroupNorm.groups, norm.gamma.pointer, norm.beta.pointer, modulation.scale, modulation.shift,
                modulation.addend, norm.epsilon)
        }
        return ActivationGradient(
            input: input, coefficients: coefficients.pointer, activation: isActivated ? HW_AFFINE_SILU : HW_AFFINE)
    }

    /// Takes `gradient`, as the activation's gradient left it, through the normalisation.
    /// - Parameters:
    ///   - call: as it was given to the convolution.
    ///   - addend: added to the result; may be `result` itself.
    ///   - result: the gradient with respect to the transform's input; may be `gradient` itself.
    ///   - modulationGradient: where the gradients with respect to the call's modulation go.
    public func finish(
        _ gradient: FeatureMap, of call: Call, addend: FeatureMap?, into result: FeatureMap,
        modulationGradient: ModulationGradient? = nil, batch: Int, on workspace: Workspace
    ) {
        precondition((call.modulation == nil) == (modulationGradient == nil))
        let input = call.input
        let pixels = input.side * input.side
        workspace.pool.forEach(batch) { [self] n in
            let own = coefficients.pointer + n * blocks * 4 * channelBlock
            let parameters = partial.pointer + n * 2 * channels
            let modulation = modulationGradient.values(ofImage: n, channels: channels)
            hw_groupnorm_gradient_finish(
                own, parameters, parameters + channels, modulation.scale, modulation.shift, modulation.addend,
                gradient.moments + n * gradient.momentsStride, input.moments + n * input.momentsStride,
                gradient.bands, pixels, channels, GroupNorm.groups, norm.gamma.pointer, norm.beta.pointer,
                call.modulation.values(ofImage: n, channels: channels).scale)
            for block in 0..<blocks {
                workspace.kernels.table.pointee.normalize_gradient(
                    result.plane(n, block), gradient.plane(n, block), input.plane(n, block),
                    addend?.plane(n, block), pixels, own + block * 4 * channelBlock)
            }
        }
        // In the images' order, so that the sum doesn't depend on who computed what.
        for n in 0..<batch { hw_axpy(sums.pointer, partial.pointer + n * 2 * channels, 1, 2 * channels) }
    }

    /// Adds the parameters' gradients, [channels] each, to `weight` and `bias`, and resets them.
    public func addGradients(weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>) {
        hw_axpy(weight, sums.pointer, 1, channels)
        hw_axpy(bias, sums.pointer + channels, 1, channels)
        sums.pointer.update(repeating: 0, count: sums.count)
    }
}

extension InputTransformGradient.Call? {
    /// What a convolution does with an input gradient while it is in the cache.
    func epilogue(batch: Int, on workspace: Workspace) -> Epilogue {
        guard let self else { return .none }
        return .activationGradient(
            self.gradient.activation(of: self.input, modulation: self.modulation, batch: batch, on: workspace))
    }
}
