/// From an encoded image to a network's input, as the reference's evaluation transform computes it (PRG, section 5):
/// the shorter side is resized with Pillow's bicubic filter, the centre square kept, each channel divided by 255,
/// reduced by its mean and divided by its standard deviation, in 32-bit floats.
public struct Preprocessing: Sendable {
    /// A transform that can't be carried out.
    public struct InvalidParameters: Error, Sendable, Equatable, CustomStringConvertible {
        /// What is wrong with which parameter.
        public let description: String
    }

    /// Length in pixels that the shorter side is resized to.
    public let resizeShorterSide: Int
    /// Side in pixels of the square kept.
    public let cropSize: Int
    /// What each sample value 0...255 of each channel becomes, in the layout [3][256].
    private let levels: [Float]
    private let mean: [Float]
    private let standardDeviation: [Float]

    /// Sets the transform up.
    ///
    /// - Parameters:
    ///   - resizeShorterSide: `cropSize`...4096 pixels.
    ///   - cropSize: at least 1 pixel.
    ///   - mean: of red, green and blue on the scale 0...1, finite.
    ///   - standardDeviation: of red, green and blue on the scale 0...1, finite and above zero.
    /// - Throws: `InvalidParameters`, since a model's file may carry anything.
    public init(
        resizeShorterSide: Int, cropSize: Int, mean: [Float], standardDeviation: [Float]
    ) throws(InvalidParameters) {
        guard (1...4096).contains(resizeShorterSide), (1...resizeShorterSide).contains(cropSize) else {
            throw InvalidParameters(
                description: "an image can't be resized to \(resizeShorterSide) and cropped to \(cropSize) pixels; "
                    + "1 <= crop size <= shorter side <= 4096 must hold")
        }
        guard mean.count == 3, mean.allSatisfy(\.isFinite) else {
            throw InvalidParameters(description: "the mean \(mean) is not three finite numbers")
        }
        guard standardDeviation.count == 3, standardDeviation.allSatisfy({ $0.isFinite && $0 > 0 }) else {
            throw InvalidParameters(
                description: "the standard deviation \(standardDeviation) is not three finite numbers above zero")
        }
        self.resizeShorterSide = resizeShorterSide
        self.cropSize = cropSize
        self.mean = mean
        self.standardDeviation = standardDeviation
        levels = (0..<3).flatMap { channel in
            (0..<256).map { (Float($0) / 255 - mean[channel]) / standardDeviation[channel] }
        }
    }

    /// The network's input for an encoded image: [3, cropSize, cropSize], one channel after the other.
    ///
    /// - Throws: `ImageError` if the bytes are not an image within `limits`.
    public func input(
        for bytes: [UInt8], limits: ImageLimits = ImageLimits(), decoding: DecodingMode = .scaled
    ) throws(ImageError) -> [Float] {
        normalized(try croppedImage(for: bytes, limits: limits, decoding: decoding))
    }

    /// The network's input for a decoded image: [3, cropSize, cropSize], one channel after the other.
    public func input(for image: RGBImage) -> [Float] { normalized(croppedImage(for: image)) }

    /// What the network sees of an encoded image, before normalisation: cropSize x cropSize pixels.
    ///
    /// - Throws: `ImageError` if the bytes are not an image within `limits`.
    public func croppedImage(
        for bytes: [UInt8], limits: ImageLimits = ImageLimits(), decoding: DecodingMode = .scaled
    ) throws(ImageError) -> RGBImage {
        let stored = try ImageDecoder.decodeStored(bytes, limits: limits) {
            decoding.denominator(for: $0, shorterSide: resizeShorterSide)
        }
        return croppedImage(
            for: stored.image, storedAs: (stored.header.width, stored.header.height),
            denominator: stored.denominator, orientation: stored.header.orientation)
    }

    /// What the network sees of a decoded image, before normalisation: cropSize x cropSize pixels.
    public func croppedImage(for image: RGBImage) -> RGBImage {
        croppedImage(for: image, storedAs: (image.width, image.height), denominator: 1, orientation: .topLeft)
    }

    /// - Parameters:
    ///   - image: the picture decoded at 1 / `denominator` of its size.
    ///   - size: that size, from which all lengths follow, whatever fraction of it was decoded.
    func croppedImage(
        for image: RGBImage, storedAs size: (width: Int, height: Int), denominator: Int, orientation: Orientation
    ) -> RGBImage {
        let width = orientation.isTransposed ? size.height : size.width
        let height = orientation.isTransposed ? size.width : size.height
        let longerSide = resizeShorterSide * max(width, height) / min(width, height)
        let resized =
            width <= height
            ? (width: resizeShorterSide, height: longerSide) : (width: longerSide, height: resizeShorterSide)
        return image.resized(
            (Double(size.width) / Double(denominator), Double(size.height) / Double(denominator)), to: resized,
            keeping: (columns: centered(in: resized.width), rows: centered(in: resized.height)),
            orientation: orientation)
    }

    /// The crop's place on an axis: half the margin, a half pixel going to the even neighbour as Python's `round` has it.
    private func centered(in length: Int) -> Range<Int> {
        let margin = length - cropSize
        let start = margin / 2 + (margin % 4 == 3 ? 1 : 0)
        return start..<start + cropSize
    }

    /// A state of the model as a picture to look at: each number times the standard deviation plus the mean, times 255,
    /// rounded to the nearest of 0...255. What lies outside that range, as most of a state of noise may, is clamped, so the
    /// picture doesn't hold the state; that of a normalised input holds it exactly.
    ///
    /// - Parameter state: [3][cropSize][cropSize].
    public func picture(of state: [Float]) -> RGBImage {
        let area = cropSize * cropSize
        precondition(state.count == 3 * area)
        return RGBImage(width: cropSize, height: cropSize) { buffer in
            for channel in 0..<3 {
                for pixel in 0..<area {
                    let level = (state[channel * area + pixel] * standardDeviation[channel] + mean[channel]) * 255
                    // Not clamped by min and max, between which NaN would slip through to the conversion's trap.
                    buffer[pixel * 3 + channel] = level > 0 ? (level < 255 ? UInt8(level.rounded()) : 255) : 0
                }
            }
        }
    }

    /// Red, green and blue of the mean, 0...255: the colour nearest to what the network sees as zeros.
    public var meanColor: [UInt8] { mean.map { UInt8(min(max($0 * 255, 0), 255).rounded()) } }

    /// What the network sees of a cropped image, [3][height][width].
    public func normalized(_ image: RGBImage) -> [Float] {
        let samples = image.width * image.height * 3
        return [Float](unsafeUninitializedCapacity: samples) { buffer, count in
            normalize(image, into: buffer)
            count = samples
        }
    }

    /// Writes what the network sees of a cropped image, [3][height][width], to the front of `buffer`, which has room for it.
    public func normalize(_ image: RGBImage, into buffer: UnsafeMutableBufferPointer<Float>) {
        let area = image.width * image.height
        precondition(buffer.count >= 3 * area, "no room for the image")
        image.pixels.withUnsafeBufferPointer { pixels in
            levels.withUnsafeBufferPointer { levels in
                for channel in 0..<3 {
                    for pixel in 0..<area {
                        buffer[channel * area + pixel] = levels[channel * 256 + Int(pixels[pixel * 3 + channel])]
                    }
                }
            }
        }
    }
}
