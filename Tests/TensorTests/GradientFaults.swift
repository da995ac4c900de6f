import CKernels
import Tensor

private let scalar = Kernels(named: "scalar")!

extension Fault {
    /// One for every kernel of backward passes.
    static let gradients = [
        Fault(function: "gemm_transposed") {
            $0.gemm_transposed = { arguments in
                scalar.table.pointee.gemm_transposed(arguments)
                let call = arguments!.pointee
                call.c[(call.blocks - 1) * call.c_block_stride + call.rows * 16 - 1] += 0.01
            }
        },
        Fault(function: "winograd4_spread") {
            $0.winograd4_spread = { arguments in
                scalar.table.pointee.winograd4_spread(arguments)
                let call = arguments!.pointee
                call.products[35 * call.position_stride + (call.width + 3) / 4 * 16 - 1] += 0.01
            }
        },
        Fault(function: "winograd2_spread") {
            $0.winograd2_spread = { arguments in
                scalar.table.pointee.winograd2_spread(arguments)
                let call = arguments!.pointee
                call.products[15 * call.position_stride + (call.width + 1) / 2 * 16 - 1] += 0.01
            }
        },
        Fault(function: "activate_gradient") {
            $0.activate_gradient = { sums, gradient, x, pixels, coefficients, activation in
                scalar.table.pointee.activate_gradient(sums, gradient, x, pixels, coefficients, activation)
                if activation == HW_AFFINE { sums![31] += 0.01 }
            }
        },
        Fault(function: "normalize_gradient") {
            $0.normalize_gradient = { destination, gradient, x, addend, pixels, coefficients in
                scalar.table.pointee.normalize_gradient(destination, gradient, x, addend, pixels, coefficients)
                if addend == nil { destination![pixels * 16 - 1] += 0.01 }
            }
        },
        Fault(function: "softmax_gradient") {
            $0.softmax_gradient = { gradient, probabilities, stride, rows, columns in
                scalar.table.pointee.softmax_gradient(gradient, probabilities, stride, rows, columns)
                gradient![(columns - 1) / 16 * stride + rows * 16 - 1] += 0.01
            }
        },
    ]
}
