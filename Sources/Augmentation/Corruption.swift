import Glibc
import ImagePipeline

/// A way in which pictures are damaged to see how a classifier withstands it: families of Hendrycks and Dietterich,
/// "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations" (2019), with their parameters for CIFAR-10.
///
/// Lengths in pixels are meant at a side of 32 and grow with it. Everything random follows from a seed: pictures differ from
/// the published ones in the draws, not in the distribution.
package enum Corruption: String, Sendable, CaseIterable {
    case gaussianNoise = "gaussian-noise"
    case shotNoise = "shot-noise"
    case impulseNoise = "impulse-noise"
    case defocusBlur = "defocus-blur"
    case motionBlur = "motion-blur"
    case zoomBlur = "zoom-blur"
    case fog, brightness, contrast, pixelate, jpeg

    /// From the slightest to the worst.
    package static let severities = 1...5

    /// The damaged picture.
    ///
    /// - Parameters:
    ///   - image: a square.
    ///   - severity: one of `severities`.
    ///   - seed: names the random numbers, together with the family; severities share them.
    package func applied(to image: RGBImage, severity: Int, seed: UInt64) -> RGBImage {
        precondition(image.width == image.height, "a corruption is defined for squares")
        precondition(Self.severities.contains(severity), "a severity is 1...5")
        var random = RandomStream(seed: seed, Self.allCases.firstIndex(of: self)!)
        let level = severity - 1
        let samples = SampleField(image)
        let scale = Double(image.width) / 32
        switch self {
        case .gaussianNoise:
            let deviation = [0.04, 0.06, 0.08, 0.09, 0.10][level]
            return samples.mapped { $0 + deviation * random.normal() }.image
        case .shotNoise:
            var poisson = PoissonSampler(exposure: [500, 250, 100, 75, 50][level])
            return samples.mapped { poisson.sample($0, using: &random) }.image
        case .impulseNoise:
            let amount = [0.01, 0.02, 0.03, 0.05, 0.07][level]
            return samples.mapped { sample in
                let (isHit, isWhite) = (random.chance(amount), random.chance(0.5))
                return isHit ? (isWhite ? 1 : 0) : sample
            }.image
        case .defocusBlur:
            let (radius, alias) = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)][level]
            return samples.filtered(by: DefocusKernel(radius: radius * scale, alias: alias * scale, scale: scale)).image
        case .motionBlur:
            let (radius, deviation) = [(6.0, 1.0), (6, 1.5), (6, 2), (8, 2), (9, 2.5)][level]
            return samples.smeared(
                radius: radius * scale, deviation: deviation * scale, degrees: random.uniform(in: -45...45)
            ).roundedImage
        case .zoomBlur: return samples.zoomBlurred(steps: [7, 12, 16, 21, 26][level]).image
        case .fog:
            let (thickness, decay) = [(0.2, 3.0), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)][level]
            let plasma = PlasmaFractal(covering: image.width, decay: decay) { random.uniform() }
            return samples.fogged(by: plasma, thickness: thickness).image
        case .brightness: return samples.brightened(by: [0.05, 0.1, 0.15, 0.2, 0.3][level]).image
        case .contrast: return samples.flattened(to: [0.75, 0.5, 0.4, 0.3, 0.15][level]).image
        case .pixelate:
            let side = max(1, Int(Double(image.width) * [0.95, 0.9, 0.85, 0.75, 0.65][level]))
            return image.resized(width: side, height: side, filter: .box)
                .resized(width: image.width, height: image.width, filter: .box)
        case .jpeg: return image.compressed(quality: [80, 65, 58, 50, 40][level])
        }
    }
}

extension RGBImage {
    fileprivate func compressed(quality: Int) -> RGBImage {
        do {
            return try ImageDecoder.decode(try jpeg(quality: quality))
        } catch {
            // A network's input has at most some thousand pixels a side, which libjpeg takes.
            preconditionFailure("a JPEG just made can't be read: \(error)")
        }
    }
}

/// A square picture in numbers of 0...1.
struct SampleField {
    let side: Int
    /// [side][side][3].
    var values: [Double]

    /// The picture with samples truncated to whole 255ths, as the benchmark's were.
    var image: RGBImage { image { $0 } }

    /// The picture with samples rounded to whole 255ths.
    var roundedImage: RGBImage { image { $0.rounded() } }

    private func image(_ level: (Double) -> Double) -> RGBImage {
        RGBImage(width: side, height: side, pixels: values.map { UInt8(level(min(max($0, 0), 1) * 255)) })
    }

    func mapped(_ change: (Double) -> Double) -> SampleField { SampleField(side: side, values: values.map(change)) }

    /// Value, the greatest of the three channels, raised at the same hue and saturation.
    func brightened(by amount: Double) -> SampleField {
        var result = self
        for start in stride(from: 0, to: values.count, by: 3) {
            let value = values[start..<start + 3].max() ?? 0
            let raised = min(value + amount, 1)
            // Black has no hue and becomes gray.
            for index in start..<start + 3 {
                result.values[index] = value > 0 ? values[index] * (raised / value) : raised
            }
        }
        return result
    }

    /// Each channel drawn towards its mean.
    func flattened(to contrast: Double) -> SampleField {
        var means = [0.0, 0, 0]
        for (index, value) in values.enumerated() { means[index % 3] += value / Double(side * side) }
        return SampleField(
            side: side, values: values.enumerated().map { ($1 - means[$0 % 3]) * contrast + means[$0 % 3] })
    }

    /// Mixed with white fog, dimmed so that the brightest sample may stay as bright as it was.
    func fogged(by plasma: PlasmaFractal, thickness: Double) -> SampleField {
        let brightest = values.max() ?? 0
        var result = self
        for index in values.indices {
            let (row, column) = (index / 3 / side, index / 3 % side)
            let sum = values[index] + thickness * plasma.heights[row * plasma.side + column]
            result.values[index] = sum * brightest / (brightest + thickness)
        }
        return result
    }
}

extension SampleField {
    init(_ image: RGBImage) { self.init(side: image.width, values: image.pixels.map { Double($0) / 255 }) }
}

/// Numbers of the Poisson distribution for the 256 levels of a sample: photons counted by a sensor.
private struct PoissonSampler {
    let exposure: Double
    /// For each level met, the probabilities of at most 0, 1, 2, … photons.
    private var cumulative = [[Double]](repeating: [], count: 256)

    init(exposure: Double) { self.exposure = exposure }

    /// A sample of 0...1 as it is counted when white is `exposure` photons.
    mutating func sample(_ value: Double, using random: inout RandomStream) -> Double {
        let level = Int((value * 255).rounded())
        if cumulative[level].isEmpty { cumulative[level] = Self.cumulative(mean: Double(level) / 255 * exposure) }
        let drawn = random.uniform()
        var (low, high) = (0, cumulative[level].count - 1)
        while low < high {
            let middle = (low + high) / 2
            if cumulative[level][middle] > drawn { high = middle } else { low = middle + 1 }
        }
        return Double(low) / exposure
    }

    /// Up to where what is left can't be drawn by 53 bits; means are at most 500, so the first term is no underflow.
    private static func cumulative(mean: Double) -> [Double] {
        var probability = exp(-mean)
        var sums = [probability]
        while Double(sums.count) < mean || probability > 0x1p-60 {
            probability *= mean / Double(sums.count)
            sums.append(sums[sums.count - 1] + probability)
        }
        return sums
    }
}
