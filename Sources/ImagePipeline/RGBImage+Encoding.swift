import CImageCodecs

extension RGBImage {
    /// The picture as a baseline JPEG file with chroma at half the resolution, as Pillow's `save(quality=)` writes it.
    ///
    /// - Parameter quality: 1...100.
    /// - Throws: `ImageError` of kind `tooLarge` if a side has more than 65,500 pixels or there is no memory for it.
    public func jpeg(quality: Int) throws(ImageError) -> [UInt8] {
        precondition((1...100).contains(quality), "a JPEG's quality is 1...100")
        guard max(width, height) <= 65_500 else { throw tooLarge }
        return try encoded(within: image_codec_jpeg_bound) { pixels, width, height, bytes, count, failure in
            image_codec_encode_jpeg(pixels, width, height, UInt32(quality), bytes, count, failure)
        }
    }

    /// The picture as a PNG file.
    ///
    /// - Throws: `ImageError` of kind `tooLarge` if there is no memory for it.
    public func png() throws(ImageError) -> [UInt8] {
        try encoded(within: image_codec_png_bound, by: image_codec_encode_png)
    }

    private typealias Encoder = (
        _ pixels: UnsafePointer<UInt8>?, _ width: UInt32, _ height: UInt32, _ bytes: UnsafeMutablePointer<UInt8>?,
        _ count: UnsafeMutablePointer<Int>?, UnsafeMutablePointer<ImageCodecFailure>?
    ) -> ImageCodecStatus

    private func encoded(
        within bound: (_ width: UInt32, _ height: UInt32) -> Int, by encode: Encoder
    ) throws(ImageError) -> [UInt8] {
        var failure = ImageCodecFailure()
        var status = ImageCodecStatus.OK
        let (width, height) = (UInt32(width), UInt32(height))
        let bytes = [UInt8](unsafeUninitializedCapacity: bound(width, height)) { buffer, count in
            count = buffer.count
            status = encode(pixels, width, height, buffer.baseAddress, &count, &failure)
            if status != .OK { count = 0 }
        }
        guard status == .OK else { throw tooLarge }
        return bytes
    }

    private var tooLarge: ImageError {
        ImageError(.tooLarge, "a picture of \(width)x\(height) pixels can't be encoded")
    }
}
