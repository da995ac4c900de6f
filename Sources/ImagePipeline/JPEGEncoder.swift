import CImageCodecs

extension RGBImage {
    /// The picture as a baseline JPEG file with chroma at half the resolution, as Pillow's `save(quality=)` writes it.
    ///
    /// - Parameter quality: 1...100.
    /// - Throws: `ImageError` of kind `tooLarge` if a side has more than 65,500 pixels or there is no memory for it.
    public func jpeg(quality: Int) throws(ImageError) -> [UInt8] {
        precondition((1...100).contains(quality), "a JPEG's quality is 1...100")
        let tooLarge = ImageError(.tooLarge, "a picture of \(width)x\(height) pixels can't be encoded")
        guard max(width, height) <= 65_500 else { throw tooLarge }
        let capacity = image_codec_jpeg_bound(UInt32(width), UInt32(height))
        var failure = ImageCodecFailure()
        var status = ImageCodecStatus.OK
        let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            count = capacity
            status = image_codec_encode_jpeg(
                pixels, UInt32(width), UInt32(height), UInt32(quality), buffer.baseAddress, &count, &failure)
            if status != .OK { count = 0 }
        }
        guard status == .OK else { throw tooLarge }
        return bytes
    }
}
