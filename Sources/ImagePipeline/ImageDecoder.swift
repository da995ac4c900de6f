import CImageCodecs

/// The header of an encoded image.
public struct ImageHeader: Sendable, Equatable {
    /// The encoding, from the bytes and never from a name or declared type.
    public let format: ImageFormat
    /// Stored columns, before the orientation is applied.
    public let width: Int
    /// Stored rows, before the orientation is applied.
    public let height: Int
    /// Stored channels: 1 gray or palette, 2 gray and alpha, 3 colour, 4 colour and alpha or CMYK.
    public let channels: Int
    /// How the stored image must be turned, by its EXIF or else its XMP metadata.
    public let orientation: Orientation
}

/// Image files to RGB pixels, bit for bit as `exif_transpose(image).convert("RGB")` of Pillow 13.0 decodes them; HEIC and AVIF, whose
/// libraries convert colours differently in each version, within the levels that docs/api.md states.
///
/// So 16-bit colour keeps its high byte, 16-bit gray is clamped to 255, alpha is dropped, and CMYK counts as inverted.
///
/// Of a file with several pictures, animated or not, the first is decoded: the picture that simple viewers show. In a PNG that is
/// the picture of the IDAT chunks, whether or not it is a frame of the animation. Where the first frame of an animated WebP or a GIF
/// doesn't cover the canvas, a WebP is black, and a GIF has its transparent colour or else its first one.
///
/// An image is decoded if every pixel is there, whatever follows the last one: markers or chunks that close the file may be
/// missing, wrong, or followed by anything. Zero bytes at the end of a JPEG are padding and no pixels. Metadata may also be
/// damaged, although Pillow refuses some such files. Refused, although Pillow reads them, are
/// - JPEGs with damaged data, with a colour component that no scan holds, with more than 64 scans, and of arithmetic or
///   lossless coding; progressive JPEGs without end-of-image marker whose coefficients are not complete;
/// - PNGs with a wrong checksum of pixels, with an unknown critical chunk, or with more than twice a row's bytes and 64 KiB
///   for a row;
/// - WebPs, GIFs and BMPs whose data end before the last pixel, and GIFs that go on behind the end of their data;
/// - BMPs with run lengths that aren't of the picture's number of bits;
/// - TIFFs with a directory or pixels of which libtiff reports damage, with signed or floating-point samples, samples of 12 or 32 bits,
///   white at 0 in 16 bits, planes multiplied by alpha, YCbCr outside of JPEG, L*a*b*, and with compressions other than CCITT, LZW, JPEG,
///   deflate and PackBits;
/// - HEICs and AVIFs of which one picture has more than twice the pixels that the file states for the primary one, or all have more than
///   eight times as many; with more than 2000 items, with compressed metadata, and with pictures in other codings than HEVC and AV1.
///
/// A GIF's own table of colours counts, even if it is a ramp of grays and the table of the whole file isn't: Pillow then takes the
/// other one. Planes of 16 bits in a TIFF are read as such, where Pillow reads them as bytes.
///
/// A progressive JPEG with its end-of-image marker may lack scans that only refine it. libjpeg-turbo smooths such a picture, and its
/// versions do so by different arithmetic: here alone the bits are not promised.
///
/// The orientation is the one that `exif_transpose` applies:
/// - that of EXIF, which in a JPEG is in its APP1 segments, one continuing the other, in a PNG in the last eXIf chunk or a
///   text chunk "exif", or else in a text "Raw profile type exif", as ImageMagick writes it. It may be a number of any type
///   but BYTE, the first if there are several;
/// - where EXIF states none, that of XMP, in a JPEG's last XMP segment or a PNG's text "XML:com.adobe.xmp".
///
/// In a WebP, both are in the first chunk of their kind that its header announces. GIFs and BMPs have neither. In a HEIC or AVIF, the
/// container's rotation and mirroring count instead.
public enum ImageDecoder {
    /// Reads format, size and orientation without allocating anything for pixels.
    ///
    /// - Parameter formats: those that are decoded; the decoders of others don't see the bytes.
    /// - Throws: `ImageError` if the bytes have no readable header. The caller checks limits.
    public static func probe(
        _ bytes: [UInt8], formats: ImageFormats = .standard
    ) throws(ImageError) -> ImageHeader {
        guard !bytes.isEmpty else {
            throw ImageError(.empty, "the image has no bytes; send a \(formats.names) file")
        }
        let (known, place) = (ImageFormats.all.members, image_codec_recognize(bytes, bytes.count))
        guard place < known.count, formats.contains(known[place]) else {
            throw ImageError(.unrecognised, ForeignFormat.describe(bytes, formats: formats))
        }
        var header = ImageCodecHeader()
        var failure = ImageCodecFailure()
        let status = image_codec_probe(bytes, bytes.count, &header, &failure)
        guard status == .OK else { throw ImageError(status, failure, bytes, formats) }
        return ImageHeader(
            format: known[place], width: Int(header.width), height: Int(header.height),
            channels: Int(header.channels),
            orientation: Orientation(rawValue: Int(header.orientation)) ?? .topLeft)
    }

    /// Decodes an image at its full size and applies its orientation.
    ///
    /// - Throws: `ImageError`. Images beyond the limits are refused by their header, before their pixels are allocated.
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

    /// Decodes without turning the image, because resampling applies the orientation at less cost.
    ///
    /// - Parameter denominator: decides by what the size is to be divided, up to the format's largest denominator. Limits apply to
    ///   the size that the header states.
    static func decodeStored(
        _ bytes: [UInt8], limits: ImageLimits, denominator: (ImageHeader) -> Int
    ) throws(ImageError) -> StoredImage {
        try limits.check(byteCount: bytes.count)
        let header = try probe(bytes, formats: limits.formats)
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
        guard status == .OK else { throw ImageError(status, failure, bytes, limits.formats) }
        return StoredImage(
            header: header, denominator: denominator, image: RGBImage(width: width, height: height, pixels: pixels))
    }
}

extension ImageError {
    /// The error for a decoder's failure.
    fileprivate init(
        _ status: ImageCodecStatus, _ failure: ImageCodecFailure, _ bytes: [UInt8], _ formats: ImageFormats
    ) {
        let detail = withUnsafeBytes(of: failure.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let place = "at byte \(failure.offset) of \(bytes.count): \(detail)"
        switch status {
        case .unrecognised:
            self.init(.unrecognised, ForeignFormat.describe(bytes, formats: formats))
        case .truncated:
            self.init(.truncated, "the image is cut off (\(place)); send the whole file")
        case .unsupported:
            self.init(
                .unsupported, "this kind of image is not supported (\(place)); save it as 8-bit \(formats.names)")
        case .empty:
            self.init(.empty, "the image has no pixels (\(place)); send another one")
        case .tooLarge:
            self.init(
                .tooLarge, "the image is too costly to decode (\(place)); save it as a plain \(formats.names)")
        default:
            self.init(.corrupt, "the image is damaged (\(place)); encode it again")
        }
    }
}
