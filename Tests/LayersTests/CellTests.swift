import TestFixtures
import Testing

@testable import Layers

@Suite("Means over the cells of a grid")
struct CellTests {
    @Test(
        "are those of PyTorch's AdaptiveAvgPool2d, channel by channel and row by row", arguments: [3, 16, 40],
        [(side: 8, divisions: 2), (8, 3), (7, 4), (5, 5), (9, 1)])
    func definition(channels: Int, sizes: (side: Int, divisions: Int)) {
        let (side, divisions) = sizes
        let own = OwnMap(channels: channels, side: side)
        var noise = SeededGenerator(seed: UInt64(channels))
        for channel in 0..<channels {
            for (p, number) in noise.floats(side * side).enumerated() { own[channel, p] = number }
        }
        // A layer leaves sums of what it writes, from which the mean of the whole plane is read.
        for channel in 0..<channels {
            for band in 0..<own.map.bands {
                let pixels = (band * bandRows * side)..<(min((band + 1) * bandRows, side) * side)
                own.map.momentsOf(0, block: channel / channelBlock, band: band)[channel % channelBlock] =
                    pixels.reduce(0) { $0 + own[channel, $1] }
            }
        }
        let means = own.map.means(ofImage: 0, divisions: divisions)
        #expect(means.count == channels * divisions * divisions)
        for (i, mean) in means.enumerated() {
            let (channel, cell) = i.quotientAndRemainder(dividingBy: divisions * divisions)
            let rows = window(cell / divisions, sizes)
            let columns = window(cell % divisions, sizes)
            let sum = rows.reduce(0.0) { sum, y in columns.reduce(sum) { $0 + Double(own[channel, y * side + $1]) } }
            #expect(abs(Double(mean) - sum / Double(rows.count * columns.count)) < 1e-6)
        }
    }

    /// From floor(i·side / n) to ceil((i + 1)·side / n).
    private func window(_ i: Int, _ sizes: (side: Int, divisions: Int)) -> Range<Int> {
        let width = Double(sizes.side) / Double(sizes.divisions)
        return Int((Double(i) * width + 1e-9).rounded(.down))..<Int((Double(i + 1) * width - 1e-9).rounded(.up))
    }
}
