import CImageCodecs

/// A format that is decoded: a row of the table in CImageCodecs. What the program says and accepts of formats, from media types
/// to the endings of file names, follows from that table.
public struct ImageFormat: Sendable, Hashable, CustomStringConvertible {
    /// All formats, in the order of the table, in which messages list them.
    public static let all: [ImageFormat] = Array(
        sequence(state: 0) { index in
            defer { index += 1 }
            return ImageFormat(index: index)
        })

    /// The name, such as "JPEG".
    public let name: String
    /// The media type, such as `image/jpeg`.
    public let mediaType: String
    /// The endings of file names, in lower case, such as `.jpg`.
    public let suffixes: [String]
    /// How every file begins, as far as these bytes are neither zero nor line breaks.
    public let start: [UInt8]
    /// The largest denominator of the fraction of its size at which an image decodes: 8, or 1 if only whole images do.
    public let largestDenominator: Int

    private init?(index: Int) {
        guard let codec = image_codec(index)?.pointee else { return nil }
        name = String(cString: codec.name)
        mediaType = String(cString: codec.media_type)
        suffixes = String(cString: codec.suffixes).split(separator: " ").map { ".\($0)" }
        start = Array(UnsafeBufferPointer(start: codec.start.bytes, count: codec.start.count))
        largestDenominator = Int(codec.largest_denominator)
    }

    /// The name.
    public var description: String { name }
}

extension ImageFormat {
    /// The names of all formats for a sentence, such as "JPEG or PNG".
    public static let names = alternatives(all.map(\.name))

    /// The endings of file names for a sentence, such as ".jpg, .jpeg or .png".
    public static let suffixes = alternatives(all.flatMap(\.suffixes))

    /// Whether a file's name, in bytes, ends as those of images do, in upper or lower case.
    public static func isImageName(_ name: some BidirectionalCollection<UInt8>) -> Bool {
        all.contains { format in
            format.suffixes.contains { suffix in
                name.suffix(suffix.utf8.count).map(lowercased).elementsEqual(suffix.utf8)
            }
        }
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func alternatives(_ words: [String]) -> String {
        guard let last = words.last, words.count > 1 else { return words.joined() }
        return words.dropLast().joined(separator: ", ") + " or " + last
    }
}
