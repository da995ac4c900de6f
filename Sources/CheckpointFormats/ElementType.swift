import CNumberFormats

/// How a tensor's numbers are stored; raw values are safetensors' names. Everything is little endian.
public enum ElementType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case u8 = "U8"
    case i8 = "I8"
    case f8e5m2 = "F8_E5M2"
    case f8e4m3 = "F8_E4M3"
    case u16 = "U16"
    case i16 = "I16"
    case f16 = "F16"
    case bf16 = "BF16"
    case u32 = "U32"
    case i32 = "I32"
    case f32 = "F32"
    case u64 = "U64"
    case i64 = "I64"
    case f64 = "F64"

    /// Bytes that one number takes.
    public var byteCount: Int {
        switch self {
        case .bool, .u8, .i8, .f8e5m2, .f8e4m3: 1
        case .u16, .i16, .f16, .bf16: 2
        case .u32, .i32, .f32: 4
        case .u64, .i64, .f64: 8
        }
    }

    /// Writes numbers of this type to `destination` as f32: exactly from `f32`, `f16` and `bf16`, rounded to nearest even
    /// from `f64`.
    ///
    /// - Precondition: `source` holds as many numbers as `destination`; it need not be aligned.
    /// - Throws: `CheckpointError` of kind `unsupported` for every other type.
    public func convertToFloats(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        precondition(source.count == destination.count * byteCount)
        guard let from = source.baseAddress, let to = destination.baseAddress else { return }
        switch self {
        case .f32: UnsafeMutableRawPointer(to).copyMemory(from: from, byteCount: source.count)
        case .f16: convert_f16_to_f32(from, to, destination.count)
        case .bf16: convert_bf16_to_f32(from, to, destination.count)
        case .f64: convert_f64_to_f32(from, to, destination.count)
        default: throw CheckpointError(.unsupported, "\(rawValue) numbers can't be read as floating point")
        }
    }

    /// `values` as numbers of this type, rounded to nearest even; `f32`, `f16` and `bf16` can be written.
    ///
    /// - Throws: `CheckpointError` of kind `unrepresentable` if a finite value is too large for the type, `unsupported` for
    ///   other types.
    public func bytes(of values: [Float]) throws(CheckpointError) -> [UInt8] {
        let (count, product) = (values.count, values.count * byteCount)
        var overflow = count
        let bytes = [UInt8](unsafeUninitializedCapacity: product) { buffer, initialized in
            guard let to = buffer.baseAddress else { return }
            switch self {
            case .f32: values.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
            case .f16: overflow = convert_f32_to_f16(values, to, count)
            case .bf16: overflow = convert_f32_to_bf16(values, to, count)
            default: return
            }
            initialized = product
        }
        guard bytes.count == product else {
            throw CheckpointError(.unsupported, "floating-point numbers can't be written as \(rawValue)")
        }
        guard overflow == count else {
            throw CheckpointError(
                .unrepresentable, "number \(overflow), \(values[overflow]), is too large for \(rawValue); store f32")
        }
        return bytes
    }

    /// `values` as a file that stores them in this type gives them back.
    ///
    /// - Throws: as `bytes(of:)`.
    public func rounded(_ values: [Float]) throws(CheckpointError) -> [Float] {
        guard self != .f32 else { return values }
        let bytes = try bytes(of: values)
        var stored = values
        let result = stored.withUnsafeMutableBufferPointer { stored in
            bytes.withUnsafeBytes { bytes in
                Result { () throws(CheckpointError) in try convertToFloats(bytes, into: stored) }
            }
        }
        try result.get()
        return stored
    }
}

/// The index of the first infinity or NaN in `values`; nil if all are finite.
public func firstNonFinite(_ values: [Float]) -> Int? {
    let index = first_nonfinite_f32(values, values.count)
    return index < values.count ? index : nil
}
