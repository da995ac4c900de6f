/// At what size large JPEGs are decoded.
public enum DecodingMode: String, Sendable, CaseIterable {
    /// Every image at its full size.
    case exact
    /// JPEGs of more than `largestExact` pixels at an eighth, a quarter or half of their size if that leaves the shorter
    /// side at least `oversampling` times what it will be resized to; every other image at its full size.
    case scaled

    /// Most pixels, width times height, of an image that is always decoded at its full size.
    public static let largestExact = 4_000_000

    /// How many times the size wanted a scaled image must at least have, so that the resizing, which averages at least so
    /// many pixels in each direction, and not the smaller inverse DCT decides what the network sees.
    public static let oversampling = 4

    /// By what an image's size is divided when it is decoded: 1, 2, 4 or 8.
    ///
    /// libjpeg-turbo also decodes at other eighths, but has fast transforms for these alone.
    ///
    /// - Parameter shorterSide: the length in pixels that the shorter side will be resized to; at least 1.
    public func denominator(for header: ImageHeader, shorterSide: Int) -> Int {
        guard self == .scaled, header.format == .jpeg, header.width * header.height > Self.largestExact else {
            return 1
        }
        let spare = min(header.width, header.height) / (Self.oversampling * shorterSide)
        return [8, 4, 2].first { $0 <= spare } ?? 1
    }
}
