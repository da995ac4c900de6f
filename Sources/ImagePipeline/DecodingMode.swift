/// At what size large JPEGs are decoded.
public enum DecodingMode: String, Sendable, CaseIterable {
    /// Every image at its full size.
    case exact
    /// Images of more than `largestExact` pixels, in formats that decode fast at fractions of their size, at an eighth, a quarter or
    /// half of it if that leaves the shorter side at least `oversampling` times what it will be resized to. Every other image at
    /// its full size.
    case scaled

    /// Most pixels, width times height, of an image that is always decoded at its full size.
    public static let largestExact = 4_000_000

    /// How many times as large as the size wanted a scaled image must at least be. The resizing then averages at least as many
    /// pixels in each direction, so it decides what the network sees, and not the smaller inverse DCT.
    public static let oversampling = 4

    /// By what an image's size is divided when it is decoded: 1, 2, 4 or 8.
    ///
    /// libjpeg-turbo also decodes at other eighths, but has fast transforms for these alone.
    ///
    /// - Parameter shorterSide: the length in pixels that the shorter side will be resized to; at least 1.
    public func denominator(for header: ImageHeader, shorterSide: Int) -> Int {
        guard self == .scaled, header.width * header.height > Self.largestExact else {
            return 1
        }
        let spare = min(header.width, header.height) / (Self.oversampling * shorterSide)
        return [8, 4, 2].first { $0 <= min(spare, header.format.largestDenominator) } ?? 1
    }
}
