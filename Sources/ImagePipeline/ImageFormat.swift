import CImageCodecs

/// A format that can be decoded: a row of the table in CImageCodecs. What the program says and accepts of formats, from media types
/// to the endings of file names, follows from that table.
public struct ImageFormat: Sendable, Hashable, CustomStringConvertible {
    /// The name, such as "JPEG".
    public let name: String
    /// The media type, such as `image/jpeg`.
    public let mediaType: String
    /// The endings of file names, in lower case, such as `.jpg`.
    public let suffixes: [String]
    /// How every file begins, as far as these bytes are neither zero nor line breaks; none if these don't tell it from text.
    public let start: [UInt8]
    /// The largest denominator of the fraction of its size at which an image decodes: 8, or 1 if only whole images do.
    public let largestDenominator: Int
    /// Whether it is decoded only if asked for, because its decoder is large.
    public let isOnDemand: Bool
    private let index: Int

    /// A library that decodes a format.
    public struct Library: Sendable, Hashable {
        /// Its name, such as `libpng`.
        public let name: String
        /// Its version, such as `1.6.39`.
        public let version: String
    }

    init?(index: Int) {
        guard let codec = image_codec(index)?.pointee else { return nil }
        name = String(cString: codec.name)
        mediaType = String(cString: codec.media_type)
        suffixes = String(cString: codec.suffixes).split(separator: " ").map { ".\($0)" }
        start = Array(UnsafeBufferPointer(start: codec.start.bytes, count: codec.start.count))
        largestDenominator = Int(codec.largest_denominator)
        isOnDemand = codec.is_on_demand
        self.index = index
    }

    /// Why it can't be decoded, such as a missing library, and what to do about that; nil if it can. The first call for a format on
    /// demand loads its library.
    public var unavailability: String? {
        guard let find = image_codec(index)?.pointee.find_unavailability else { return nil }
        return find().map { String(cString: $0) }
    }

    /// The library that decodes it; nil if none does.
    public var library: Library? {
        guard let library = image_codec(index)?.pointee.library, let name = library.name else { return nil }
        let version = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            library.write_version(buffer.baseAddress!, buffer.count)
            return String(cString: buffer.baseAddress!)
        }
        return Library(name: String(cString: name), version: version)
    }

    /// The name in lower case, by which options choose it.
    public var optionName: String { name.lowercased() }

    /// The name.
    public var description: String { name }
}
