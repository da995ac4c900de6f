/// File formats that people send but that aren't decoded, or are left out, recognised by their first bytes so that the error can name
/// them.
enum ForeignFormat {
    /// The error message for bytes of no format that is decoded.
    ///
    /// - Parameter formats: those that are decoded.
    static func describe(_ bytes: [UInt8], formats: ImageFormats) -> String {
        guard let name = name(of: bytes) else {
            return
                "the bytes are not an image (they start with \(hexadecimal(bytes.prefix(8)))); send \(formats.names)"
        }
        return "this is \(name); send \(formats.names)"
    }

    /// The name of the format with its article; nil for one not known here.
    static func name(of bytes: [UInt8]) -> String? {
        table.first { row in
            row.pieces.allSatisfy { bytes.dropFirst($0.offset).starts(with: $0.bytes) }
        }?.name ?? markupName(bytes)
    }

    /// A format by the pieces of a file that are the same in all of its files.
    private struct Row {
        let name: String
        let pieces: [(offset: Int, bytes: [UInt8])]

        init(_ name: String, _ pieces: (Int, [UInt8])...) {
            self.name = name
            self.pieces = pieces.map { ($0.0, $0.1) }
        }
    }

    private static let table =
        [
            Row("a JPEG image", (0, [0xff, 0xd8, 0xff])),
            Row("a PNG image", (0, [0x89] + text("PNG"))),
            Row("a GIF image", (0, text("GIF8"))),
            Row("a WebP image", (0, text("RIFF")), (8, text("WEBP"))),
            // The two reserved fields of its header are zero.
            Row("a BMP image", (0, text("BM")), (6, [0, 0, 0, 0])),
            Row("a TIFF image", (0, text("II*") + [0])),
            Row("a TIFF image", (0, text("MM") + [0, 0x2a])),
            Row("a BigTIFF image, whose offsets have 64 bits", (0, text("II+") + [0])),
            Row("a BigTIFF image, whose offsets have 64 bits", (0, text("MM") + [0, 0x2b])),
        ]
        + ["avif", "avis"].map { Row("an AVIF image", (4, text("ftyp" + $0))) }
        + ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"].map {
            Row("a HEIC image", (4, text("ftyp" + $0)))
        }
        + [
            Row("an MP4 or other video file", (4, text("ftyp"))),
            Row("a PDF document", (0, text("%PDF-"))),
            Row("a JPEG XL image", (0, [0xff, 0x0a])),
            Row("a JPEG XL image", (0, [0, 0, 0, 0x0c] + text("JXL "))),
            Row("a JPEG 2000 image", (0, [0, 0, 0, 0x0c] + text("jP  "))),
            Row("an icon file", (0, [0, 0, 1, 0])),
            Row("a gzip file", (0, [0x1f, 0x8b])),
            Row("a ZIP archive", (0, text("PK\u{3}\u{4}"))),
        ]

    private static func text(_ characters: String) -> [UInt8] { Array(characters.utf8) }

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
