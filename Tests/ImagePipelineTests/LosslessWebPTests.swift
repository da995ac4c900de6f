import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that a lossless WebP takes memory by its size, not by the number of its codes.
@Suite("Codes of lossless WebPs")
struct LosslessWebPTests {
    @Test("a picture of blocks with codes of their own is decoded up to 4096 blocks, and refused beyond")
    func blocks() throws {
        #expect(try ImageDecoder.decode(Self.picture(width: 256, height: 256)).pixels.allSatisfy { $0 == 0 })
        let error = #expect(throws: ImageError.self) { try ImageDecoder.decode(Self.picture(width: 257, height: 256)) }
        #expect(error?.kind == .tooLarge)
        #expect(error?.message.contains("4160 blocks") == true, "\(String(describing: error))")
        #expect(error?.message.contains("4096") == true)
    }

    @Test("data before the picture don't hide how many blocks there are", arguments: Prefix.allCases)
    func prefixes(prefix: Prefix) throws {
        let error = #expect(throws: ImageError.self) {
            try ImageDecoder.decode(Self.picture(width: 1024, height: 1024, prefix: prefix))
        }
        #expect(error?.message.contains("\(prefix.blocks) blocks") == true, "\(String(describing: error))")
    }

    @Test("a code of lengths that leave codes without a symbol is damaged", arguments: [[1, 2], [1, 1, 1]])
    func incompleteCode(lengths: [Int]) {
        var bits = Self.header(width: 8, height: 8)
        // A predictor of blocks of four pixels a side, without a cache.
        bits.append(0b001, count: 3)
        bits.append(0, count: 4)
        bits.append(lengths: lengths)
        let error = #expect(throws: ImageError.self) { try ImageDecoder.decode(Self.file(bits)) }
        #expect(error?.kind == .corrupt)
    }

    /// What may stand before the codes.
    enum Prefix: CaseIterable {
        case predictor, colour, subtractedGreen, palette, cache, copies

        /// A palette of two colours puts eight pixels into one.
        var blocks: Int { self == .palette ? 8192 : 65536 }

        fileprivate func append(to bits: inout BitString) {
            switch self {
            case .predictor, .colour:
                bits.append(self == .predictor ? 0b001 : 0b011, count: 3)
                // Blocks of 512 pixels a side: four.
                bits.append(7, count: 3)
                bits.appendImage()
            case .subtractedGreen: bits.append(0b101, count: 3)
            case .palette:
                bits.append(0b111, count: 3)
                bits.append(1, count: 8)
                bits.appendImage()
            case .copies:
                // A predictor of four blocks: a pixel, and three copies of it. Green is 0, or 256 + 2 for a length of three.
                bits.append(0b001, count: 3)
                bits.append(7, count: 3)
                bits.append(0, count: 1)
                bits.append(lengths: [1] + [Int](repeating: 0, count: 257) + [1])
                for _ in 0..<3 { bits.append(symbol: 0) }
                bits.append(symbol: 1)
                bits.append(0b10, count: 2)
            case .cache: break
            }
        }
    }

    private static func header(width: Int, height: Int) -> BitString {
        var bits = BitString()
        bits.append(0x2f, count: 8)
        bits.append(width - 1, count: 14)
        bits.append(height - 1, count: 14)
        bits.append(0, count: 4)
        return bits
    }

    /// A black picture whose blocks of 4x4 pixels have a group of codes each.
    private static func picture(width: Int, height: Int, prefix: Prefix? = nil) -> [UInt8] {
        var bits = header(width: width, height: height)
        prefix?.append(to: &bits)
        bits.append(0, count: 1)
        if prefix == .cache { bits.append(0b10101, count: 5) } else { bits.append(0, count: 1) }
        bits.append(0b0001, count: 4)
        let blocks = (width + 3) / 4 * ((height + 3) / 4)
        // The image of groups: green and red have a code of eight bits for each value, the others take no bits.
        bits.append(0, count: 1)
        bits.append(lengths: [Int](repeating: 8, count: 256))
        bits.append(lengths: [Int](repeating: 8, count: 256))
        for _ in 0..<3 { bits.append(symbol: 0) }
        for block in 0..<blocks {
            bits.append(code: block & 255, count: 8)
            bits.append(code: block >> 8 & 255, count: 8)
        }
        for _ in 0..<5 * blocks { bits.append(symbol: 0) }
        return file(bits)
    }

    private static func file(_ bits: BitString) -> [UInt8] {
        let content = bits.bytes + [UInt8](repeating: 0, count: bits.bytes.count % 2)
        let size = { (count: Int) in (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } }
        let chunk = Array("WEBPVP8L".utf8) + size(bits.bytes.count) + content
        return Array("RIFF".utf8) + size(chunk.count) + chunk
    }
}

/// Bits of a lossless WebP, from the lowest of each byte on.
private struct BitString {
    private(set) var bytes: [UInt8] = []
    private var free = 0

    mutating func append(_ value: Int, count: Int) {
        for index in 0..<count {
            if free == 0 {
                bytes.append(0)
                free = 8
            }
            bytes[bytes.count - 1] |= UInt8(value >> index & 1) << UInt8(8 - free)
            free -= 1
        }
    }

    /// A prefix code begins with its highest bit.
    mutating func append(code: Int, count: Int) {
        for index in (0..<count).reversed() { append(code >> index & 1, count: 1) }
    }

    /// A prefix code of one symbol, 0 or 1.
    mutating func append(symbol: Int) {
        append(0b001, count: 3)
        append(symbol, count: 1)
    }

    /// A prefix code by the lengths of its symbols, of which those that are missing have none. Each length takes four bits.
    mutating func append(lengths: [Int]) {
        append(0, count: 1)
        append(12, count: 4)
        // Of the lengths 17, 18, 0...5, 16, 6...12; lengths 0...12 have a code of four bits, and three more fill it up.
        for _ in 0..<16 { append(4, count: 3) }
        append(1, count: 1)
        append(4, count: 3)
        append(lengths.count - 2, count: 10)
        for length in lengths { append(code: length, count: 4) }
    }

    /// An image that takes no bits but those of its codes.
    mutating func appendImage() {
        append(0, count: 1)
        for _ in 0..<5 { append(symbol: 0) }
    }
}
