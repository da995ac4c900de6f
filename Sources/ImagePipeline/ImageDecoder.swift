import CImageCodecs

/// The formats that are decoded.
public enum ImageFormat: String, Sendable, CaseIterable {
    /// Baseline, extended or progressive JPEG of 8 bits a sample and Huffman coding.
    case jpeg = "JPEG"
    /// PNG of any colour type and depth.
    case png = "PNG"
}

/// What an encoded image says about itself.
public struct ImageHeader: Sendable, Equatable {
    /// The encoding, from the bytes and never from a name or declared type.
    public let format: ImageFormat
    /// Stored columns, before the orientation is applied.
    public let width: Int
    /// Stored rows, before the orientation is applied.
    public let height: Int
    /// Stored channels: 1 gray or palette, 2 gray and alpha, 3 colour, 4 colour and alpha or CMYK.
    public let channels: Int
    /// How the stored image is to be turned (JPEG's EXIF segment, PNG's eXIf chunk).
    public let orientation: Orientation
    /// Whether it is an animated PNG of more than one frame.
    public let isAnimated: Bool
}

/// JPEG and PNG files to RGB pixels, bit for bit as Pillow's `exif_transpose(image).convert("RGB")` decodes them.
///
/// So 16-bit colour keeps its high byte, while 16-bit gray is clamped to 255, alpha is dropped, and CMYK is taken as
/// inverted. Refused, though Pillow takes them, are
/// - JPEGs with damaged data, more than 64 scans, or arithmetic coding, whose truncation can't be told;
/// - PNGs that are animated, have a wrong checksum of pixels or of the closing chunk, lack that chunk, have an unknown
///   critical chunk, or spend more on a row and what follows it than twice the row's bytes and 64 KiB.
///
/// The other way round, damaged metadata in a PNG is passed over, for which Pillow refuses the file.
///
/// The orientation is that of JPEG's first EXIF segment with contents or of PNG's last eXIf chunk, a single integer of any
/// type but BYTE. One that stands only in XMP metadata or in a PNG's text "Raw profile type exif" is not applied.
public enum ImageDecoder {
    /// Reads format, size and orientation without allocating anything for pixels.
    ///
    /// - Throws: `ImageError` if the bytes have no readable header; limits are the caller's to check.
    public static func probe(_ bytes: [UInt8]) throws(ImageError) -> ImageHeader {
        guard !bytes.isEmpty else {
            throw ImageError(.empty, "there are no bytes where an image should be; send a JPEG or PNG file")
        }
        var header = ImageCodecHeader()
        var failure = ImageCodecFailure()
        let status = image_codec_probe(bytes, bytes.count, &header, &failure)
        guard status == .OK else { throw ImageError(status, failure, bytes) }
        return ImageHeader(
            format: header.format == .PNG ? .png : .jpeg, width: Int(header.width), height: Int(header.height),
            channels: Int(header.channels), orientation: Orientation(rawValue: Int(header.orientation)) ?? .topLeft,
            isAnimated: header.frames > 1)
    }

    /// Decodes an image at its full size and applies its orientation.
    ///
    /// - Throws: `ImageError`; beyond-limit images are refused by their header, before their pixels are allocated.
    public static func decode(_ bytes: [UInt8], limits: ImageLimits = ImageLimits()) throws(ImageError) -> RGBImage {
        let stored = try decodeStored(bytes, limits: limits) { _ in 1 }
        return stored.image.oriented(stored.header.orientation)
    }

    /// An image as its file stores it, or a fraction of it.
    struct StoredImage {
        let header: ImageHeader
        /// By what the header's size was divided: 1, 2, 4 or 8.
        let denominator: Int
        /// The pixels, of the header's width and height over `denominator`, rounded up.
        let image: RGBImage
    }

    /// Decodes without turning the image, whose orientation resampling takes into account more cheaply.
    ///
    /// - Parameter denominator: decides by what the size is to be divided; anything but 1 is for JPEGs only. Limits apply
    ///   to the size that the header states.
    static func decodeStored(
        _ bytes: [UInt8], limits: ImageLimits, denominator: (ImageHeader) -> Int
    ) throws(ImageError) -> StoredImage {
        try limits.check(byteCount: bytes.count)
        let header = try probe(bytes)
        try limits.check(header)

        let denominator = denominator(header)
        let width = (header.width + denominator - 1) / denominator
        let height = (header.height + denominator - 1) / denominator
        var failure = ImageCodecFailure()
        var status = ImageCodecStatus.OK
        let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { buffer, count in
            status = image_codec_decode(
                bytes, bytes.count, UInt32(denominator), UInt32(width), UInt32(height), buffer.baseAddress, &failure)
            count = status == .OK ? buffer.count : 0
        }
        guard status == .OK else { throw ImageError(status, failure, bytes) }
        return StoredImage(
            header: header, denominator: denominator, image: RGBImage(width: width, height: height, pixels: pixels))
    }
}

extension ImageError {
    /// Puts a decoder's failure into words.
    fileprivate init(_ status: ImageCodecStatus, _ failure: ImageCodecFailure, _ bytes: [UInt8]) {
        let detail = withUnsafeBytes(of: failure.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let place = "at byte \(failure.offset) of \(bytes.count): \(detail)"
        switch status {
        case .unrecognised:
            self.init(.unrecognised, ForeignFormat.describe(bytes))
        case .truncated:
            self.init(.truncated, "the image is cut off (\(place)); send the whole file")
        case .unsupported:
            self.init(
                .unsupported, "the image is of a kind that is not decoded (\(place)); save it as 8-bit JPEG or PNG")
        case .empty:
            self.init(.empty, "the image has no pixels (\(place)); send one that has some")
        case .tooLarge:
            self.init(.tooLarge, "decoding the image would take too much (\(place)); save it as a plain JPEG or PNG")
        default:
            self.init(.corrupt, "the image is damaged (\(place)); encode it again")
        }
    }
}
