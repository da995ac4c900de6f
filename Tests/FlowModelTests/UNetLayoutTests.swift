import FlowModel
import Testing

@Suite("The network's layout") struct UNetLayoutTests {
    @Test(
        "has the parameter counts that PRG.md states",
        arguments: [(UNetArchitecture.u32, 52.5e6), (.u64, 121.1e6), (.starter, 2.86e6)])
    func parameterCount(architecture: UNetArchitecture, published: Double) throws {
        let count = try UNetLayout(architecture).parameters.reduce(0) { $0 + $1.count }
        #expect(abs(Double(count) - published) < 0.002 * published)
    }

    @Test(
        "costs what PRG.md and the starter model's description state",
        arguments: [(UNetArchitecture.u32, 16.8), (.u64, 79.4), (.starter, 0.764)])
    func cost(architecture: UNetArchitecture, published: Double) throws {
        let cost = Double(try UNetLayout(architecture).floatingPointOperations) / 1e9
        #expect(abs(cost - published) < 0.005 * published)
    }

    @Test(
        "costs more at each place, and after the last one only the closing convolution",
        arguments: [UNetArchitecture.u32, .starter])
    func costThroughPlaces(architecture: UNetArchitecture) throws {
        let layout = try UNetLayout(architecture)
        let costs = layout.places.map { layout.floatingPointOperations(through: $0) }
        let positions = architecture.imageSize * architecture.imageSize
        #expect(costs.first == 2 * 9 * 3 * architecture.modelChannels * positions)
        #expect(zip(costs, costs.dropFirst()).allSatisfy { $0 < $1 })
        #expect(layout.floatingPointOperations - costs.last! == 2 * 9 * layout.finalChannels * 3 * positions)
    }

    @Test("spells out a small network's stages") func smallNetwork() throws {
        let layout = try UNetLayout(.tiny)
        #expect(
            layout.inputBlocks.map(\.blocks) == [
                [.convolution(key: "input_blocks.0.0", inputs: 3, outputs: 32)],
                [.residual(key: "input_blocks.1.0", inputs: 32, outputs: 32)],
                [.downsample(key: "input_blocks.2.0", channels: 32)],
                [
                    .residual(key: "input_blocks.3.0", inputs: 32, outputs: 64),
                    .attention(key: "input_blocks.3.1", channels: 64),
                ],
            ])
        #expect(
            layout.outputBlocks.map(\.blocks) == [
                [
                    .residual(key: "output_blocks.0.0", inputs: 128, outputs: 64),
                    .attention(key: "output_blocks.0.1", channels: 64),
                ],
                [
                    .residual(key: "output_blocks.1.0", inputs: 96, outputs: 64),
                    .attention(key: "output_blocks.1.1", channels: 64),
                    .upsample(key: "output_blocks.1.2", channels: 64),
                ],
                [.residual(key: "output_blocks.2.0", inputs: 96, outputs: 32)],
                [.residual(key: "output_blocks.3.0", inputs: 64, outputs: 32)],
            ])
        #expect(layout.middle.inputSize == 8)
        #expect(layout.finalChannels == 32)
    }

    @Test("joins stages without a seam: sizes, widths and skips fit", arguments: [UNetArchitecture.u32, .u64, .tiny])
    func stagesFit(architecture: UNetArchitecture) throws {
        let layout = try UNetLayout(architecture)
        var (channels, size) = (3, architecture.imageSize)
        for stage in layout.inputBlocks + [layout.middle] {
            #expect(stage.inputChannels == channels && stage.inputSize == size && stage.skipChannels == 0)
            (channels, size) = (stage.outputChannels, stage.outputSize)
        }
        for (stage, source) in zip(layout.outputBlocks, layout.inputBlocks.reversed()) {
            #expect(stage.skipChannels == source.outputChannels && stage.inputSize == source.outputSize)
            #expect(stage.inputChannels == channels + stage.skipChannels && stage.inputSize == size)
            (channels, size) = (stage.outputChannels, stage.outputSize)
        }
        #expect(layout.outputBlocks.count == layout.inputBlocks.count)
        #expect(size == architecture.imageSize)
    }

    @Test("refuses an architecture that can't be built rather than trapping on it")
    func invalidArchitecture() {
        var architecture = UNetArchitecture.u32
        architecture.modelChannels = .max
        #expect(throws: ConfigurationError.self) { try UNetLayout(architecture) }
    }
}
