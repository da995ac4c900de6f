import CheckpointFormats
import TestFixtures
import Testing

@Suite("Number formats") struct NumberFormatsTests {
    static func floats(_ type: ElementType, _ bytes: [UInt8]) throws -> [Float] {
        let count = bytes.count / type.byteCount
        return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            let destination = UnsafeMutableBufferPointer(rebasing: buffer[..<count])
            try bytes.withUnsafeBytes { try type.convertToFloats($0, into: destination) }
            initialized = count
        }
    }

    @Test("f16: every one of the 65536 reads as the processor reads it, and writes back to itself")
    func everyHalf() throws {
        let halves = (0...UInt16.max).map { Float16(bitPattern: $0) }
        let bytes = halves.flatMap { littleEndian($0.bitPattern) }
        let floats = try Self.floats(.f16, bytes)
        #expect(zip(floats, halves).allSatisfy { $0 == Float($1) || $0.isNaN && $1.isNaN })
        let back = try ElementType.f16.bytes(of: floats)
        #expect(
            zip(0..., halves).allSatisfy { index, half in
                let written = Float16(bitPattern: UInt16(back[2 * index]) | UInt16(back[2 * index + 1]) << 8)
                return written.bitPattern == half.bitPattern || written.isNaN && half.isNaN
            })
    }

    @Test("f32 to f16 rounds to nearest even, ties and subnormals included") func roundingToHalf() throws {
        var generator = SeededGenerator(seed: 1)
        var values = (0..<20_000).map { _ in
            Float(bitPattern: UInt32.random(in: 0...0x477F_EFFF, using: &generator))
        }
        values += [0x1.002p0, 0x1.006p0, 0x1p-25, 0x1.8p-24, 0x1.000002p-25, 65519.996, 0, -0.0]
        values += values.map { -$0 }
        let expected = values.flatMap { littleEndian(Float16($0).bitPattern) }
        #expect(try ElementType.f16.bytes(of: values) == expected)
    }

    @Test("f32 to bf16 rounds to nearest even and reads back") func brainFloat() throws {
        let values: [Float] = [0, -0.0, 1, 0x1.01p0, 0x1.03p0, 0x1.010002p0, -3.140625, 0x1p-133, .infinity]
        let written = try ElementType.bf16.bytes(of: values)
        #expect(
            try Self.floats(.bf16, written)
                == [0, -0.0, 1, 1, 0x1.04p0, 0x1.02p0, -3.140625, 0x1p-133, .infinity])
        #expect(try Self.floats(.bf16, ElementType.bf16.bytes(of: [Float(nan: 1, signaling: false)]))[0].isNaN)
    }

    @Test(
        "a finite number that would become infinite is refused with its place",
        arguments: [(ElementType.f16, Float(65520)), (.f16, -1e30), (.bf16, .greatestFiniteMagnitude)])
    func overflow(type: ElementType, value: Float) {
        let error = #expect(throws: CheckpointError.self) { try type.bytes(of: [1, 2, value]) }
        #expect(error?.kind == .unrepresentable)
        #expect(error?.description.contains("number 2") == true)
    }

    @Test("f64 is rounded, f32 copied") func wideNumbers() throws {
        #expect(try Self.floats(.f64, [0.1, -1e300].flatMap { littleEndian($0.bitPattern) }) == [0.1, -.infinity])
        #expect(try Self.floats(.f32, ElementType.f32.bytes(of: [0.1, -7])) == [0.1, -7])
    }

    @Test("integers are neither read nor written as floating point", arguments: [ElementType.i64, .u8, .bool, .f8e5m2])
    func integersAreRefused(type: ElementType) {
        #expect(throws: CheckpointError.self) { try Self.floats(type, [UInt8](repeating: 0, count: type.byteCount)) }
        #expect(throws: CheckpointError.self) { try type.bytes(of: [1]) }
    }

    @Test("the first number that isn't finite is found") func nonFinite() {
        #expect(firstNonFinite([1, -2, .greatestFiniteMagnitude, 0]) == nil)
        #expect(firstNonFinite([1, .nan, .infinity]) == 1)
        #expect(firstNonFinite([-.infinity]) == 0)
        #expect(firstNonFinite([]) == nil)
    }
}
