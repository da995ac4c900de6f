/// Writes PNG files by hand, so that tests can state things no encoder would.
public struct PNGBuilder: Sendable {
    /// As the header names it.
    public enum ColorType: UInt8, Sendable {
        case gray = 0
        case rgb = 2
        case palette = 3
        case grayAlpha = 4
        case rgba = 6
    }

    /// What the header says of the width, true or not.
    public var width: UInt32
    /// What the header says of the height, true or not.
    public var height: UInt32
    /// Bits of a channel.
    public var bitDepth: UInt8
    /// Which channels there are.
    public var colorType: ColorType
    /// Packed rows, without their filter bytes.
    public var rows: [[UInt8]]
    /// Chunks between IHDR and IDAT.
    public var before: [(type: String, data: [UInt8])]
    /// Chunks between IDAT and IEND.
    public var after: [(type: String, data: [UInt8])]

    /// Whether the header says that rows are in the order of Adam7's passes.
    public var isInterlaced = false

    /// Describes a file.
    public init(
        width: UInt32, height: UInt32, bitDepth: UInt8 = 8, colorType: ColorType, rows: [[UInt8]],
        before: [(type: String, data: [UInt8])] = [], after: [(type: String, data: [UInt8])] = []
    ) {
        self.width = width
        self.height = height
        self.bitDepth = bitDepth
        self.colorType = colorType
        self.rows = rows
        self.before = before
        self.after = after
    }

    /// What every PNG file begins with.
    public static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

    /// The file's bytes.
    public var file: [UInt8] { file(data: Self.storedZlib(rows.flatMap { [0] + $0 })) }

    /// The file's bytes with another zlib stream than that of its rows.
    public func file(data: [UInt8]) -> [UInt8] {
        var file = Self.signature
        file += Self.chunk(
            "IHDR",
            Self.bigEndian(width) + Self.bigEndian(height) + [bitDepth, colorType.rawValue, 0, 0, isInterlaced ? 1 : 0])
        for chunk in before { file += Self.chunk(chunk.type, chunk.data) }
        file += Self.chunk("IDAT", data)
        for chunk in after { file += Self.chunk(chunk.type, chunk.data) }
        return file + Self.chunk("IEND", [])
    }

    /// A chunk with its length and checksum.
    public static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        return bigEndian(UInt32(data.count)) + body + bigEndian(crc32(body))
    }

    /// A number as PNG writes it.
    public static func bigEndian(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// A big-endian TIFF block whose only entry is the orientation.
    public static func exif(orientation: UInt8) -> [UInt8] {
        [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]
    }

    /// A zlib stream of one uncompressed block, which holds at most 65535 bytes.
    public static func storedZlib(_ data: [UInt8]) -> [UInt8] {
        let length = UInt16(data.count)
        var low: UInt32 = 1
        var high: UInt32 = 0
        for byte in data {
            low = (low + UInt32(byte)) % 65521
            high = (high + low) % 65521
        }
        let lengths = [length, ~length].flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        return [0x78, 0x01, 0x01] + lengths + data + bigEndian(high << 16 | low)
    }

    /// A zlib stream that unfolds to `count` zeros, 158 times its own length: one block of deflate's fixed codes (RFC 1951,
    /// 3.2.6), a literal and then copies of 258 bytes, the longest there are.
    public static func zlib(zeros count: Int) -> [UInt8] {
        var (bytes, bits, held) = ([0x78, 0x01] as [UInt8], UInt32(0), 0)
        func put(_ code: UInt32, _ length: Int) {
            bits |= code << held
            held += length
            while held >= 8 {
                bytes.append(UInt8(truncatingIfNeeded: bits))
                (bits, held) = (bits >> 8, held - 8)
            }
        }
        // Codes go in with their first bit lowest. The last block, of fixed codes:
        put(0b011, 3)
        let literals = count == 0 ? 0 : 1 + (count - 1) % 258
        // Literal 0 is 00110000, length 258 is 11000101, distance 1 is 00000, the end 0000000.
        for _ in 0..<literals { put(0b0000_1100, 8) }
        for _ in 0..<((count - literals) / 258) { put(0b1010_0011, 13) }
        put(0, 7)
        if held > 0 { put(0, 8 - held) }
        return bytes + bigEndian(UInt32(count % 65521) << 16 | 1)
    }

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
        }
        return ~crc
    }
}
