/// Limits of an image, checked by its first bytes and its header before anything is allocated for its pixels.
public struct ImageLimits: Sendable, Equatable {
    /// Pixels, width times height, of three bytes each once decoded. Never more than 2^31 - 1, whatever is set here, so no size
    /// computed from them overflows.
    public var maximumPixels: Int
    /// The longer side divided by the shorter one.
    public var maximumAspectRatio: Double
    /// Encoded bytes.
    public var maximumBytes: Int
    /// The formats that are decoded.
    public var formats: ImageFormats

    /// Sets limits; the defaults take a 64-megapixel photograph.
    public init(
        maximumPixels: Int = 64_000_000, maximumAspectRatio: Double = 60, maximumBytes: Int = 128 << 20,
        formats: ImageFormats = .standard
    ) {
        self.maximumPixels = maximumPixels
        self.maximumAspectRatio = maximumAspectRatio
        self.maximumBytes = maximumBytes
        self.formats = formats
    }

    func check(byteCount: Int) throws(ImageError) {
        guard byteCount <= maximumBytes else {
            throw ImageError(
                .tooLarge,
                "the image file has \(byteCount) bytes, more than the \(maximumBytes) allowed; send a smaller file")
        }
    }

    func check(_ header: ImageHeader) throws(ImageError) {
        let (width, height) = (header.width, header.height)
        guard width > 0, height > 0 else {
            throw ImageError(.empty, "the image is \(width)x\(height) pixels; send one with pixels")
        }
        let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
        let maximumPixels = min(maximumPixels, Int(Int32.max))
        guard !overflow, pixels <= maximumPixels else {
            throw ImageError(
                .tooLarge,
                "the image is \(width)x\(height) pixels, more than the \(maximumPixels) allowed; scale it down first")
        }
        guard Double(max(width, height)) <= Double(min(width, height)) * maximumAspectRatio else {
            throw ImageError(
                .tooElongated,
                "the image is \(width)x\(height) pixels, an aspect ratio of more than \(maximumAspectRatio); "
                    + "crop it first")
        }
    }
}
