import CImageCodecs

extension RGBImage {
    /// The picture as a PNG file.
    ///
    /// - Throws: `ImageError` of kind `tooLarge` if there is no memory for it.
    public func png() throws(ImageError) -> [UInt8] {
        let capacity = image_codec_png_bound(UInt32(width), UInt32(height))
        var failure = ImageCodecFailure()
        var status = ImageCodecStatus.OK
        let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            count = capacity
            status = image_codec_encode_png(
                pixels, UInt32(width), UInt32(height), buffer.baseAddress, &count, &failure)
            if status != .OK { count = 0 }
        }
        guard status == .OK else {
            throw ImageError(.tooLarge, "a picture of \(width)x\(height) pixels can't be encoded")
        }
        return bytes
    }
}
