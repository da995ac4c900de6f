import Tensor

/// Channels that lie side by side in memory; see `CKernels.h`.
public let channelBlock = 16

extension Precision {
    /// 32-bit words that 16 channels take as factors of a product.
    var words: Int { self == .f32 ? channelBlock : channelBlock / 2 }
}

/// Rows of a band: the unit in which images are divided among workers and in which moments are kept. It depends on
/// nothing but the image's height, so that no sum depends on how the work was divided.
let bandRows = 4

/// The activations of a batch at one place in the network: a view of memory that an arena owns.
///
/// Layout: image n at `data + n·imageStride` as [channels/16][side][side][16] floats; its moments at
/// `moments + n·momentsStride` as [channels/16][bands][2][16], where every layer leaves the sums and centred squares of
/// what it wrote, so that the next GroupNorm and taps of whole planes need not read the activations again. Two maps may be
/// neighbours in one larger map: that is how concatenation works, without a copy.
public struct FeatureMap {
    /// Channels, a multiple of 16 in memory; what is beyond the real ones is zero.
    public let channels: Int
    /// Height and width in pixels.
    public let side: Int
    let data: UnsafeMutablePointer<Float>
    let imageStride: Int
    let moments: UnsafeMutablePointer<Float>
    let momentsStride: Int

    /// Floats that one image takes.
    public static func dataCount(channels: Int, side: Int) -> Int { blocks(channels) * channelBlock * side * side }

    /// Floats that one image's moments take.
    public static func momentsCount(channels: Int, side: Int) -> Int {
        blocks(channels) * bands(side) * 2 * channelBlock
    }

    /// A map over memory of at least `dataCount` and `momentsCount` floats an image, 64-byte aligned.
    public init(
        channels: Int, side: Int, data: UnsafeMutablePointer<Float>, imageStride: Int,
        moments: UnsafeMutablePointer<Float>, momentsStride: Int
    ) {
        self.channels = channels
        self.side = side
        self.data = data
        self.imageStride = imageStride
        self.moments = moments
        self.momentsStride = momentsStride
    }

    /// The channels `range` of this map, bounds being multiples of 16, as a map over the same memory.
    public func channels(_ range: Range<Int>) -> FeatureMap {
        precondition(range.lowerBound % channelBlock == 0 && range.upperBound <= Self.blocks(channels) * channelBlock)
        return FeatureMap(
            channels: range.count, side: side, data: data + range.lowerBound * side * side, imageStride: imageStride,
            moments: moments + Self.momentsCount(channels: range.lowerBound, side: side), momentsStride: momentsStride)
    }

    /// The images from `first` on, as a map over the same memory.
    public func images(from first: Int) -> FeatureMap {
        FeatureMap(
            channels: channels, side: side, data: data + first * imageStride, imageStride: imageStride,
            moments: moments + first * momentsStride, momentsStride: momentsStride)
    }

    /// Image `n`: [channels/16][side][side][16].
    public func image(_ n: Int) -> UnsafeMutablePointer<Float> { data + n * imageStride }

    /// Block `block` of 16 channels of image `n`: [side][side][16].
    func plane(_ n: Int, _ block: Int) -> UnsafeMutablePointer<Float> { image(n) + block * blockStride }

    /// Calls `body` with every plane of the first `batch` images, which the workers share.
    func forEachPlane(
        ofFirst batch: Int, on pool: WorkerPool, _ body: (_ n: Int, _ block: Int, UnsafeMutablePointer<Float>) -> Void
    ) {
        pool.forEach(batch * blocks) { unit in
            let (n, block) = unit.quotientAndRemainder(dividingBy: blocks)
            body(n, block, plane(n, block))
        }
    }

    /// The means of each channel of image `n` over every cell of a grid that divides the plane, [channels][divisions][divisions];
    /// see ``poolingWindow(_:of:side:)``. For one cell they come from the moments, otherwise from the activations.
    public func means(ofImage n: Int, divisions: Int = 1) -> [Float] {
        precondition((1...side).contains(divisions))
        let cells = divisions * divisions
        guard cells > 1 else { return means(ofMomentsOf: n) }
        var means = [Float](repeating: 0, count: channels * cells)
        for block in 0..<blocks {
            for cell in 0..<cells {
                let mean = mean(
                    ofPlane: plane(n, block), rows: poolingWindow(cell / divisions, of: divisions, side: side),
                    columns: poolingWindow(cell % divisions, of: divisions, side: side))
                for lane in 0..<min(channelBlock, channels - block * channelBlock) {
                    means[(block * channelBlock + lane) * cells + cell] = mean[lane]
                }
            }
        }
        return means
    }

    private func means(ofMomentsOf n: Int) -> [Float] {
        let pixels = Float(side * side)
        return (0..<channels).map { channel in
            var sum: Float = 0
            for band in 0..<bands {
                sum += momentsOf(n, block: channel / channelBlock, band: band)[channel % channelBlock]
            }
            return sum / pixels
        }
    }

    /// Of 16 channels.
    private func mean(ofPlane plane: UnsafePointer<Float>, rows: Range<Int>, columns: Range<Int>) -> SIMD16<Float> {
        var sum = SIMD16<Float>()
        for row in rows {
            let pixels = UnsafeRawPointer(plane + row * side * channelBlock)
            for column in columns {
                sum += pixels.load(fromByteOffset: column * MemoryLayout<SIMD16<Float>>.stride, as: SIMD16<Float>.self)
            }
        }
        return sum / Float(rows.count * columns.count)
    }

    var blocks: Int { Self.blocks(channels) }
    var bands: Int { Self.bands(side) }
    /// Distance from one block of 16 channels to the next.
    var blockStride: Int { side * side * channelBlock }

    func momentsOf(_ n: Int, block: Int, band: Int) -> UnsafeMutablePointer<Float> {
        moments + n * momentsStride + (block * bands + band) * 2 * channelBlock
    }

    /// Rows of `band`, clipped to the image.
    func rows(ofBand band: Int) -> Int { min(bandRows, side - band * bandRows) }

    static func blocks(_ channels: Int) -> Int { (channels + channelBlock - 1) / channelBlock }
    static func bands(_ side: Int) -> Int { (side + bandRows - 1) / bandRows }
}
