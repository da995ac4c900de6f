import ImagePipeline

// Mixtures with a degenerate image, as Pillow's `ImageEnhance` define them: factor 0 gives the degenerate image, 1 the
// image itself, more exaggerates. Samples are truncated, not rounded, in 32-bit floats as there.

extension RGBImage {
    /// Mixed with black.
    package func adjustedBrightness(_ factor: Float) -> RGBImage { mixed(factor) { _ in 0 } }

    /// Mixed with the gray of the mean luminance.
    package func adjustedContrast(_ factor: Float) -> RGBImage {
        let gray = luminance
        let sum = gray.reduce(0) { $0 + Int($1) }
        let mean = Int(Double(sum) / Double(gray.count) + 0.5)
        return mixed(factor) { _ in mean }
    }

    /// Mixed with its luminance.
    package func adjustedSaturation(_ factor: Float) -> RGBImage {
        let gray = luminance
        return mixed(factor) { Int(gray[$0 / 3]) }
    }

    /// Mixed with a smoothed image: 3x3 means in which the middle counts five times; the border stays.
    package func adjustedSharpness(_ factor: Float) -> RGBImage {
        let smooth = smoothed()
        return mixed(factor) { Int(smooth[$0]) }
    }

    /// 0.299 red + 0.587 green + 0.114 blue in fixed point, [height][width].
    private var luminance: [UInt8] {
        (0..<width * height).map { pixel in
            let red = Int(pixels[3 * pixel]) * 19595
            let green = Int(pixels[3 * pixel + 1]) * 38470
            let blue = Int(pixels[3 * pixel + 2]) * 7471
            return UInt8((red + green + blue + 0x8000) >> 16)
        }
    }

    private func smoothed() -> [UInt8] {
        guard width > 2, height > 2 else { return pixels }
        var result = pixels
        let row = 3 * width
        for y in 1..<height - 1 {
            for index in y * row + 3..<(y + 1) * row - 3 {
                var sum = 4 * Int(pixels[index])
                for near in [index - row, index, index + row] {
                    sum += Int(pixels[near - 3]) + Int(pixels[near]) + Int(pixels[near + 3])
                }
                // Thirteen parts; a sum is never halfway between two of them.
                result[index] = UInt8((2 * sum + 13) / 26)
            }
        }
        return result
    }

    private func mixed(_ factor: Float, with degenerate: (Int) -> Int) -> RGBImage {
        RGBImage(width: width, height: height) { buffer in
            for index in pixels.indices {
                let other = degenerate(index)
                let value = Float(other) + factor * Float(Int(pixels[index]) - other)
                buffer[index] = value <= 0 ? 0 : value >= 255 ? 255 : UInt8(value)
            }
        }
    }
}
