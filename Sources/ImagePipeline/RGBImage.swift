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

    /// A picture whose samples `write` writes, all of them.
    public init(width: Int, height: Int, _ write: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
        self.init(
            width: width, height: height,
            pixels: [UInt8](unsafeUninitializedCapacity: width * height * 3) { buffer, count in
                count = width * height * 3
                write(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            })
    }

    /// The picture as `orientation` wants it shown, as Pillow's `exif_transpose` gives it.
    public func oriented(_ orientation: Orientation) -> RGBImage {
        guard orientation != .topLeft else { return self }
        let shown = orientation.isTransposed ? (width: height, height: width) : (width: width, height: height)
        return RGBImage(width: shown.width, height: shown.height) {
            image_orient(pixels, width, height, UInt32(orientation.rawValue), $0.baseAddress)
        }
    }
}
