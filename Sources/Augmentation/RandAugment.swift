import ImagePipeline

/// Two operations chosen at random, each carried out with probability 1/2 (RandAugment, Cubuk et al. 2020, in the variant
/// that the image-model community calls `rand-m9-mstd0.5`): fifteen operations, whose strength is drawn for each from a
/// normal distribution about `magnitude`.
package struct RandAugment: Sendable, Equatable {
    package enum Operation: String, Sendable, CaseIterable {
        case autoContrast, equalize, invert, rotate, posterize, solarize, solarizeAdd
        case color, contrast, brightness, sharpness
        case shearX, shearY, translateX, translateY
    }

    /// Mean strength, 0...10.
    package var magnitude: Double
    /// Its standard deviation.
    package var deviation = 0.5
    /// Operations chosen for an image, with replacement.
    package var operations = 2
    /// With which probability each of them is carried out.
    package var probability = 0.5

    package init(magnitude: Double = 9) { self.magnitude = magnitude }

    /// The image changed.
    ///
    /// - Parameter fill: red, green and blue of what shearing, moving and rotating bring in from outside.
    package func applied(to image: RGBImage, fill: [UInt8], using random: inout RandomStream) -> RGBImage {
        var image = image
        for _ in 0..<operations {
            let operation = Operation.allCases[random.index(below: Operation.allCases.count)]
            guard random.chance(probability) else { continue }
            let strength = min(max(magnitude + deviation * random.normal(), 0), 10)
            image = operation.applied(to: image, strength: strength, negated: random.chance(0.5), fill: fill)
        }
        return image
    }
}

extension RandAugment.Operation {
    /// The image changed.
    ///
    /// - Parameters:
    ///   - strength: 0...10, where 10 means: rotated by 30°, sheared by 0.3, moved by 45 % of the side, 110 added below 128,
    ///     1.9 as a factor of colour, contrast, brightness and sharpness (0 means 0.1); and, weaker as it grows, solarised
    ///     from 256 on, four bits left by posterising. The others know no strength.
    ///   - negated: turns what has a direction into the opposite one.
    ///   - fill: red, green and blue of what comes in from outside.
    package func applied(to image: RGBImage, strength: Double, negated: Bool, fill: [UInt8]) -> RGBImage {
        let level = strength / 10
        let signed = negated ? -level : level
        let factor = Float(level * 1.8 + 0.1)
        func moved(_ transform: AffineTransform) -> RGBImage { image.transformed(by: transform, fill: fill) }
        return switch self {
        case .autoContrast: image.autoContrasted()
        case .equalize: image.equalized()
        case .invert: image.inverted()
        case .rotate: moved(.rotating(degrees: signed * 30, width: image.width, height: image.height))
        case .posterize: image.posterized(bits: Int(level * 4))
        case .solarize: image.solarized(threshold: min(256, Int(level * 256)))
        case .solarizeAdd: image.solarized(adding: min(128, Int(level * 110)))
        case .color: image.adjustedSaturation(factor)
        case .contrast: image.adjustedContrast(factor)
        case .brightness: image.adjustedBrightness(factor)
        case .sharpness: image.adjustedSharpness(factor)
        case .shearX: moved(.shearingX(signed * 0.3))
        case .shearY: moved(.shearingY(signed * 0.3))
        case .translateX: moved(.translating(x: signed * 0.45 * Double(image.width), y: 0))
        case .translateY: moved(.translating(x: 0, y: signed * 0.45 * Double(image.height)))
        }
    }
}
