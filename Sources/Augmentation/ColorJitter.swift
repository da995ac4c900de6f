import ImagePipeline

/// Brightness, contrast and saturation changed in random order, each by a factor of 1 - strength to 1 + strength.
package struct ColorJitter: Sendable, Equatable {
    /// 0...1.
    package var strength: Double

    package init(strength: Double = 0.4) { self.strength = strength }

    package func applied(to image: RGBImage, using random: inout RandomStream) -> RGBImage {
        var image = image
        for property in random.permutation(of: 3) {
            let factor = Float(random.uniform(in: 1 - strength...1 + strength))
            image =
                switch property {
                case 0: image.adjustedBrightness(factor)
                case 1: image.adjustedContrast(factor)
                default: image.adjustedSaturation(factor)
                }
        }
        return image
    }
}
