import ImagePipeline

/// How a training image is changed at random, so that a network sees a different one in every epoch.
///
/// Written as the changes' names in any order, such as `crop,flip,randaugment=9,jitter=0.4,erasing=0.25`, or `none`. They
/// are made in this order.
package struct AugmentationPolicy: Sendable, Equatable {
    /// Whether a random part is shown: at up to 32 pixels a window shifted by up to 4 over a black frame, above a random
    /// resized crop of 8 to 100 % of the area and a ratio of sides from 3/4 to 4/3.
    package var crops = false
    /// Whether every second image is mirrored left to right.
    package var flips = false
    package var randAugment: RandAugment?
    /// Brightness, contrast and saturation, if they are changed.
    package var jitter: ColorJitter?
    package var erasing: RandomErasing?

    package static let none = AugmentationPolicy()

    /// Everything is, as PRG's fine-tuning has it.
    package static let full = AugmentationPolicy(
        crops: true, flips: true, randAugment: RandAugment(), jitter: ColorJitter(), erasing: RandomErasing())

    /// Largest side at which images are shifted rather than resized.
    static let largestShifted = 32

    package init(
        crops: Bool = false, flips: Bool = false, randAugment: RandAugment? = nil, jitter: ColorJitter? = nil,
        erasing: RandomErasing? = nil
    ) {
        self.crops = crops
        self.flips = flips
        self.randAugment = randAugment
        self.jitter = jitter
        self.erasing = erasing
    }

    /// Whether it needs the whole picture at a network's input side, rather than the square that evaluation sees.
    package func needsWholePicture(side: Int) -> Bool { crops && side > Self.largestShifted }

    /// The square that the network is to see, changed at random, before normalisation.
    ///
    /// - Parameters:
    ///   - image: the whole picture if `needsWholePicture(side:)`, else the square of `side` that evaluation sees.
    ///   - side: of the network's input, in pixels.
    ///   - fill: red, green and blue of what is moved in from outside; the mean colour, which is zero to the network.
    package func picture(of image: RGBImage, side: Int, fill: [UInt8], using random: inout RandomStream) -> RGBImage {
        var picture = image
        if needsWholePicture(side: side) {
            picture = picture.randomlyResized(to: side, scale: 0.08...1, ratio: 3.0 / 4...4.0 / 3, using: &random)
        } else if crops {
            picture = picture.randomlyShifted(by: 4, using: &random)
        }
        if flips, random.chance(0.5) { picture = picture.mirrored() }
        if let randAugment { picture = randAugment.applied(to: picture, fill: fill, using: &random) }
        if let jitter { picture = jitter.applied(to: picture, using: &random) }
        return picture
    }

    /// Erases part of the normalised picture, [3][side][side].
    package func erase(_ pixels: UnsafeMutableBufferPointer<Float>, side: Int, using random: inout RandomStream) {
        erasing?.apply(to: pixels, side: side, using: &random)
    }
}

extension AugmentationPolicy: LosslessStringConvertible {
    /// What a policy's text may be.
    package static let rule =
        "none, full, or some of crop, flip, randaugment[=0...10], jitter[=0...1] and erasing[=0...1] with commas between"

    /// Reads `none`, `full` or a list of changes; nil for anything else, and for a change that occurs twice.
    package init?(_ text: String) {
        self = .none
        if text == "none" { return }
        if text == "full" {
            self = .full
            return
        }
        var seen: Set<Substring> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pieces = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard seen.insert(pieces[0]).inserted else { return nil }
            let value = pieces.count == 2 ? Double(pieces[1]) : nil
            guard pieces.count == 1 || value.map({ (0...10).contains($0) }) == true else { return nil }
            guard take(pieces[0], value) else { return nil }
        }
    }

    private mutating func take(_ name: Substring, _ value: Double?) -> Bool {
        switch name {
        case "crop" where value == nil: crops = true
        case "flip" where value == nil: flips = true
        case "randaugment": randAugment = RandAugment(magnitude: value ?? 9)
        case "jitter" where value ?? 0 <= 1: jitter = ColorJitter(strength: value ?? 0.4)
        case "erasing" where value ?? 0 <= 1: erasing = RandomErasing(probability: value ?? 0.25)
        default: return false
        }
        return true
    }

    package var description: String {
        let parts = [
            crops ? "crop" : nil, flips ? "flip" : nil, randAugment.map { "randaugment=\($0.magnitude)" },
            jitter.map { "jitter=\($0.strength)" }, erasing.map { "erasing=\($0.probability)" },
        ].compactMap { $0 }
        return parts.isEmpty ? "none" : parts.joined(separator: ",")
    }
}
