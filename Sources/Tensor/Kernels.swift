public import CKernels

/// The kernels of one instruction set, chosen once at start.
///
/// Unchecked: it points at a constant table of functions in `CKernels`.
public struct Kernels: @unchecked Sendable {
    /// The table. Functions that serve bf16 are null where the processor has no products of it, all others never.
    public let table: UnsafePointer<hw_kernels>

    /// What HEADWATER_KERNELS calls them: `scalar`, `openblas`, `avx2`, `avx512`, `avx512-bf16`, `neon`, `neon-bf16`.
    public var name: String { String(cString: table.pointee.name) }

    /// Rows of the widest register tile of the micro-kernel for products in `precision`.
    public func tileRows(in precision: Precision) -> Int {
        switch precision {
        case .f32: table.pointee.tile_rows
        case .bf16: table.pointee.tile_rows_bf16
        }
    }

    /// How many row groups, of nearly the same size, a matrix of `rows` rows in `precision` is computed in.
    public func rowGroups(_ rows: Int, in precision: Precision) -> Int {
        let tileRows = tileRows(in: precision)
        return (rows + tileRows - 1) / tileRows
    }

    /// What work costs on their processors, for decisions on who computes something.
    public var costs: hw_costs { table.pointee.costs }

    /// Whether these kernels compute in that precision.
    public func computes(_ precision: Precision) -> Bool { precision == .f32 || table.pointee.gemm_bf16 != nil }

    /// The fastest kernels that this processor runs.
    public static let best = all.count > 1 ? Kernels(table: hw_kernels_best()) : .openBLAS

    /// Every set of kernels of `CKernels` that this processor runs, the scalar twins first.
    public static let all: [Kernels] = {
        var found: [Kernels] = []
        while let table = hw_kernels_at(found.count) { found.append(Kernels(table: table)) }
        return found
    }()

    /// The kernels of that name, or nil if this build or this processor doesn't have them.
    public init?(named name: String) {
        guard name != "openblas" else {
            self = .openBLAS
            return
        }
        guard let table = hw_kernels_named(name) else { return nil }
        self.table = table
    }

    /// The kernels of a table, which must outlive them.
    init(table: UnsafePointer<hw_kernels>) { self.table = table }

    /// C = A·B (+ bias) (+ residual), blocked, A and B in `precision`; see `hw_gemm_arguments`.
    @inline(__always)
    public func gemm(_ arguments: hw_gemm_arguments, in precision: Precision = .f32) {
        withUnsafePointer(to: arguments) {
            switch precision {
            case .f32: table.pointee.gemm($0)
            case .bf16: table.pointee.gemm_bf16($0)
            }
        }
    }

    /// C = Aᵀ·B (+ C), blocked; see `hw_gemm_transposed_arguments`.
    @inline(__always)
    public func gemmTransposed(_ arguments: hw_gemm_transposed_arguments) {
        withUnsafePointer(to: arguments) { table.pointee.gemm_transposed($0) }
    }
}
