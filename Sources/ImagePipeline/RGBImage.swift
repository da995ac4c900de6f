import CImageCodecs

/// A picture in memory: RGB, 8 bits a channel.
public struct RGBImage: Sendable, Equatable {
    /// Columns.
    public let width: Int
    /// Rows.
    public let height: Int
    /// Samples 0...255 in the layout [height][width][3].
    public let pixels: [UInt8]

    /// Wraps pixels; their count must be width times height times 3.
    public init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(width > 0 && height > 0 && pixels.count == width * height * 3, "pixels don't fill the image")
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// The picture as `orientation` wants it shown, as Pillow's `exif_transpose` gives it.
    public func oriented(_ orientation: Orientation) -> RGBImage {
        guard orientation != .topLeft else { return self }
        let shown = [UInt8](unsafeUninitializedCapacity: pixels.count) { buffer, count in
            image_orient(pixels, width, height, UInt32(orientation.rawValue), buffer.baseAddress)
            count = pixels.count
        }
        return RGBImage(
            width: orientation.isTransposed ? height : width, height: orientation.isTransposed ? width : height,
            pixels: shown)
    }
}
