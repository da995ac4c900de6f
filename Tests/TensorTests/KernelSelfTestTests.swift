import CKernels
import Testing

@testable import Tensor

private let scalar = Kernels(named: "scalar")!

/// A function of the table, and a wrong one to put in its place: the scalar twin's, but for the last number that it
/// writes.
struct Fault: Sendable, CustomTestStringConvertible {
    let function: String
    let spoil: @Sendable (inout hw_kernels) -> Void

    var testDescription: String { function }

    /// Whether only kernels of reduced precision have the function.
    var isReducedPrecision: Bool { function.hasSuffix("bf16") || function == "narrow" }

    /// One for every function of `hw_kernels`; a kernel that is added there is added here.
    static let all =
        [
            Fault(function: "gemm") {
                $0.gemm = { arguments in
                    scalar.table.pointee.gemm(arguments)
                    let call = arguments!.pointee
                    call.c[(call.blocks - 1) * call.c_block_stride + call.rows * 16 - 1] += 0.01
                }
            },
            Fault(function: "activate") {
                $0.activate = { destination, source, pixels, scale, shift, activation in
                    scalar.table.pointee.activate(destination, source, pixels, scale, shift, activation)
                    if activation == HW_AFFINE { destination![pixels * 16 - 1] += 0.01 }
                }
            },
            Fault(function: "copy_doubled") {
                $0.copy_doubled = { destination, source, pixels in
                    scalar.table.pointee.copy_doubled(destination, source, pixels)
                    destination![pixels * 32 - 1] += 0.01
                }
            },
            Fault(function: "winograd4_input") {
                $0.winograd4_input = { v, stride, rows, groupStride, first, strip, rowStride, tiles in
                    scalar.table.pointee.winograd4_input(v, stride, rows, groupStride, first, strip, rowStride, tiles)
                    v![35 * stride + tiles * 16 - 1] += 0.01
                }
            },
            Fault(function: "winograd2_input") {
                $0.winograd2_input = { v, stride, rows, groupStride, first, strip, rowStride, tiles in
                    scalar.table.pointee.winograd2_input(v, stride, rows, groupStride, first, strip, rowStride, tiles)
                    v![15 * stride + tiles * 16 - 1] += 0.01
                }
            },
            Fault(function: "winograd4_output") {
                $0.winograd4_output = { arguments in
                    scalar.table.pointee.winograd4_output(arguments)
                    let call = arguments!.pointee
                    call.destination[call.rows * call.width * 16 - 1] += 0.01
                }
            },
            Fault(function: "winograd2_output") {
                $0.winograd2_output = { arguments in
                    scalar.table.pointee.winograd2_output(arguments)
                    let call = arguments!.pointee
                    call.destination[call.rows * call.width * 16 - 1] += 0.01
                }
            },
            Fault(function: "moments") {
                $0.moments = { moments, source, pixels in
                    scalar.table.pointee.moments(moments, source, pixels)
                    moments![31] += 0.01
                }
            },
            Fault(function: "softmax") {
                $0.softmax = { scores, stride, rows, columns in
                    scalar.table.pointee.softmax(scores, stride, rows, columns)
                    scores![(columns - 1) / 16 * stride + rows * 16 - 1] += 0.01
                }
            },
            Fault(function: "transpose") {
                $0.transpose = { panels, stride, source, rows in
                    scalar.table.pointee.transpose(panels, stride, source, rows)
                    panels![(rows + 15) / 16 * stride - 1] += 0.01
                }
            },
            Fault(function: "gemm_bf16") {
                $0.gemm_bf16 = { arguments in
                    scalar.table.pointee.gemm_bf16(arguments)
                    let call = arguments!.pointee
                    call.c[(call.blocks - 1) * call.c_block_stride + call.rows * 16 - 1] += 0.01
                }
            },
            Fault(function: "narrow") {
                $0.narrow = { pairs, source, rows in
                    scalar.table.pointee.narrow(pairs, source, rows)
                    pairs![rows * 8 - 1] = Float(bitPattern: 0x3f80_3f80)
                }
            },
            Fault(function: "winograd2_input_bf16") {
                $0.winograd2_input_bf16 = { v, stride, rows, groupStride, first, strip, rowStride, tiles in
                    scalar.table.pointee.winograd2_input_bf16(
                        v, stride, rows, groupStride, first, strip, rowStride, tiles)
                    v![15 * stride + tiles * 8 - 1] = Float(bitPattern: 0x3f80_3f80)
                }
            },
        ] + gradients
}

@Suite("The kernels' self-test")
struct KernelSelfTestTests {
    @Test("passes the kernels of every instruction set", arguments: Kernels.all + [.openBLAS])
    func passes(kernels: Kernels) throws {
        try KernelSelfTest.run(kernels)
    }

    /// Kernels and a fault in one of the functions that they have.
    static let faults = Kernels.all.flatMap { kernels in
        Fault.all.filter { kernels.computes(.bf16) || !$0.isReducedPrecision }.map { (kernels, $0) }
    }

    @Test("names exactly the kernel that is wrong", arguments: faults)
    func names(kernels: Kernels, fault: Fault) {
        var table = kernels.table.pointee
        fault.spoil(&table)
        let error = #expect(throws: KernelSelfTestError.self) {
            try withUnsafePointer(to: table) { try KernelSelfTest.run(Kernels(table: $0)) }
        }
        #expect(error?.function == fault.function)
        #expect(error?.description.contains("\(kernels.name) kernels compute \(fault.function) wrongly") == true)
    }

    @Test("notices a kernel that gives no number or does nothing")
    func noNumber() {
        var table = scalar.table.pointee
        table.moments = { moments, _, _ in moments![0] = .nan }
        let error = #expect(throws: KernelSelfTestError.self) {
            try withUnsafePointer(to: table) { try KernelSelfTest.run(Kernels(table: $0)) }
        }
        #expect(error?.function == "moments")
        table = scalar.table.pointee
        table.copy_doubled = { _, _, _ in }
        let idle = #expect(throws: KernelSelfTestError.self) {
            try withUnsafePointer(to: table) { try KernelSelfTest.run(Kernels(table: $0)) }
        }
        #expect(idle?.function == "copy_doubled")
    }

    @Test("is tried here with every function of the table")
    func completeness() throws {
        // The table ends in its functions; a member that is no function goes before `gemm`.
        let first = try #require(MemoryLayout<hw_kernels>.offset(of: \.gemm))
        let functions = (MemoryLayout<hw_kernels>.size - first) / MemoryLayout<UnsafeRawPointer>.size
        #expect(Set(Fault.all.map(\.function)).count == functions)
    }
}
