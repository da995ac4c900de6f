/// Writes PNG files by hand, so that tests can state things no encoder would.
struct PNGBuilder {
    enum ColorType: UInt8 {
        case gray = 0
        case rgb = 2
        case palette = 3
        case grayAlpha = 4
        case rgba = 6
    }

    var width: UInt32
    var height: UInt32
    var bitDepth: UInt8 = 8
    var colorType: ColorType
    /// Packed rows, without their filter bytes.
    var rows: [[UInt8]]
    /// Chunks between IHDR and IDAT.
    var before: [(type: String, data: [UInt8])] = []
    /// Chunks between IDAT and IEND.
    var after: [(type: String, data: [UInt8])] = []

    static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

    var file: [UInt8] {
        var file = Self.signature
        file += Self.chunk(
            "IHDR", Self.bigEndian(width) + Self.bigEndian(height) + [bitDepth, colorType.rawValue, 0, 0, 0])
        for chunk in before { file += Self.chunk(chunk.type, chunk.data) }
        file += Self.chunk("IDAT", Self.storedZlib(rows.flatMap { [0] + $0 }))
        for chunk in after { file += Self.chunk(chunk.type, chunk.data) }
        return file + Self.chunk("IEND", [])
    }

    static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        return bigEndian(UInt32(data.count)) + body + bigEndian(crc32(body))
    }

    static func bigEndian(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// A big-endian TIFF block whose only entry is the orientation.
    static func exif(orientation: UInt8) -> [UInt8] {
        [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]
    }

    /// A zlib stream of one uncompressed block, which holds at most 65535 bytes.
    private static func storedZlib(_ data: [UInt8]) -> [UInt8] {
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

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
        }
        return ~crc
    }
}
