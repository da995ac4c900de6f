import ImagePipeline

// Operations that change each sample by a table, as Pillow's `ImageOps` define them.

extension RGBImage {
    /// Every sample replaced by what the table of its channel says.
    ///
    /// - Parameter tables: one for all channels or one for each, of 256 values.
    func mapped(_ tables: [[UInt8]]) -> RGBImage {
        precondition((tables.count == 1 || tables.count == 3) && tables.allSatisfy { $0.count == 256 })
        return RGBImage(width: width, height: height) { buffer in
            for (channel, table) in (tables.count == 1 ? [tables[0], tables[0], tables[0]] : tables).enumerated() {
                for index in stride(from: channel, to: pixels.count, by: 3) {
                    buffer[index] = table[Int(pixels[index])]
                }
            }
        }
    }

    private func mapped(_ value: (Int) -> Int) -> RGBImage {
        mapped([(0..<256).map { UInt8(clamping: value($0)) }])
    }

    /// How often each value occurs in each channel, [3][256].
    private var histograms: [[Int]] {
        var counts = [[Int]](repeating: [Int](repeating: 0, count: 256), count: 3)
        for channel in 0..<3 {
            for index in stride(from: channel, to: pixels.count, by: 3) { counts[channel][Int(pixels[index])] += 1 }
        }
        return counts
    }

    package func inverted() -> RGBImage { mapped { 255 - $0 } }

    /// Only the highest `bits` of each sample, 0...8, the others zero.
    package func posterized(bits: Int) -> RGBImage {
        precondition((0...8).contains(bits), "a sample has eight bits")
        return mapped { $0 & ~(1 << (8 - bits) - 1) }
    }

    /// Samples from `threshold` on inverted.
    package func solarized(threshold: Int) -> RGBImage { mapped { $0 < threshold ? $0 : 255 - $0 } }

    /// Samples below 128 raised by `addend`.
    package func solarized(adding addend: Int) -> RGBImage { mapped { $0 < 128 ? $0 + addend : $0 } }

    /// Each channel stretched so that its least sample is 0 and its greatest 255.
    package func autoContrasted() -> RGBImage {
        mapped(
            histograms.map { histogram in
                let least = histogram.firstIndex { $0 > 0 } ?? 0
                let greatest = histogram.lastIndex { $0 > 0 } ?? 0
                guard greatest > least else { return (0...255).map { $0 } }
                let scale = 255 / Double(greatest - least)
                return (0..<256).map { UInt8(min(max(Double($0) * scale - Double(least) * scale, 0), 255)) }
            })
    }

    /// Each channel's samples spread so that all values occur about as often.
    package func equalized() -> RGBImage {
        mapped(
            histograms.map { histogram in
                let occurring = histogram.filter { $0 > 0 }
                let step = (occurring.reduce(0, +) - (occurring.last ?? 0)) / 255
                guard occurring.count > 1, step > 0 else { return (0...255).map { $0 } }
                var sum = step / 2
                return histogram.map { count in
                    defer { sum += count }
                    return UInt8(clamping: sum / step)
                }
            })
    }
}
