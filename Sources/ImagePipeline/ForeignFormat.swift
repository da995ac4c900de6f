/// File formats that people send in place of a JPEG or PNG, told by their first bytes so that the error can name them.
enum ForeignFormat {
    /// The error message for bytes that are neither JPEG nor PNG.
    static func describe(_ bytes: [UInt8]) -> String {
        guard let name = name(of: bytes) else {
            return "the bytes are not an image (they start with \(hexadecimal(bytes.prefix(8)))); send JPEG or PNG"
        }
        return "this is \(name); send JPEG or PNG"
    }

    /// The name of the format with its article; nil for one not known here.
    static func name(of bytes: [UInt8]) -> String? {
        func has(_ signature: String, at offset: Int = 0) -> Bool {
            bytes.dropFirst(offset).starts(with: signature.utf8)
        }
        func has(_ signature: [UInt8]) -> Bool { bytes.starts(with: signature) }

        if has("GIF8") { return "a GIF image" }
        if has("RIFF"), has("WEBP", at: 8) { return "a WebP image" }
        if has("BM"), bytes.count >= 14, bytes[6..<10].allSatisfy({ $0 == 0 }) { return "a BMP image" }
        if has([0x49, 0x49, 0x2a, 0]) || has([0x4d, 0x4d, 0, 0x2a]) { return "a TIFF image" }
        if has("ftyp", at: 4) {
            return isoMediaName(brand: String(decoding: bytes[8..<min(12, bytes.count)], as: UTF8.self))
        }
        if has("%PDF-") { return "a PDF document" }
        if has([0xff, 0x0a]) || has([0, 0, 0, 0x0c, 0x4a, 0x58, 0x4c, 0x20]) { return "a JPEG XL image" }
        if has([0, 0, 0, 0x0c, 0x6a, 0x50, 0x20, 0x20]) { return "a JPEG 2000 image" }
        if has([0, 0, 1, 0]) { return "an icon file" }
        if has([0x1f, 0x8b]) { return "a gzip file" }
        if has("PK\u{3}\u{4}") { return "a ZIP archive" }
        return markupName(bytes)
    }

    private static func isoMediaName(brand: String) -> String {
        switch brand {
        case "avif", "avis": "an AVIF image"
        case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1": "a HEIC image"
        default: "an MP4 or other video file"
        }
    }

    /// Text formats may begin with a byte-order mark, spaces, an XML declaration or comments before the root element.
    private static func markupName(_ bytes: [UInt8]) -> String? {
        let start = String(decoding: bytes.prefix(1024), as: UTF8.self).lowercased()
        let text = start.drop { $0.isWhitespace || $0 == "\u{feff}" }
        guard text.hasPrefix("<") else {
            return text.hasPrefix("{") || text.hasPrefix("[") ? "JSON rather than an image" : nil
        }
        if text.contains("<svg") { return "an SVG drawing" }
        return text.contains("<html") || text.hasPrefix("<!doctype html") ? "an HTML page" : nil
    }

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}
