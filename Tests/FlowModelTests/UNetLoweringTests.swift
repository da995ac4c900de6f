import FlowModel
import ModelImport
import Networks
import Testing

@Suite("The UNet's program") struct UNetLoweringTests {
    @Test(
        "has the parameter counts that PRG.md states",
        arguments: [(UNetArchitecture.u32, 52.5e6), (.u64, 121.1e6), (.starter, 2.86e6)])
    func parameterCount(architecture: UNetArchitecture, published: Double) throws {
        let count = try architecture.program().parameterCount
        #expect(abs(Double(count) - published) < 0.002 * published)
    }

    @Test(
        "costs what PRG.md and the starter model's description state",
        arguments: [(UNetArchitecture.u32, 16.8), (.u64, 79.4), (.starter, 0.764)])
    func cost(architecture: UNetArchitecture, published: Double) throws {
        let cost = Double(try architecture.program().floatingPointOperations()) / 1e9
        #expect(abs(cost - published) < 0.005 * published)
    }

    @Test(
        "costs more at each place, and after the last one only the closing convolution",
        arguments: [UNetArchitecture.u32, .starter])
    func costThroughPlaces(architecture: UNetArchitecture) throws {
        let program = try architecture.program()
        let costs = program.places.map { program.floatingPointOperations(through: $0) }
        let positions = architecture.imageSize * architecture.imageSize
        #expect(costs.first == 2 * 9 * 3 * architecture.modelChannels * positions)
        #expect(zip(costs, costs.dropFirst()).allSatisfy { $0 < $1 })
        let closing = 2 * 9 * architecture.modelChannels * 3 * positions
        #expect(program.floatingPointOperations() - costs.last! == closing)
    }

    @Test("runs a small network's operations in the reference's order") func smallNetwork() throws {
        func residual(_ key: String, hasSkip: Bool = false) -> [String] {
            ["\(key).in_layers.2"] + (hasSkip ? ["\(key).skip_connection"] : []) + ["\(key).out_layers.3"]
        }
        func attention(_ key: String) -> [String] { ["\(key).qkv", key, "\(key).proj_out"] }
        let program = try UNetArchitecture.tiny.program()
        let encoder =
            ["input_blocks.0.0"] + residual("input_blocks.1.0") + ["input_blocks.2.0.op"]
            + residual("input_blocks.3.0", hasSkip: true) + attention("input_blocks.3.1")
        let middle = residual("middle_block.0") + attention("middle_block.1") + residual("middle_block.2")
        let lower =
            residual("output_blocks.0.0", hasSkip: true) + attention("output_blocks.0.1")
            + residual("output_blocks.1.0", hasSkip: true) + attention("output_blocks.1.1")
            + ["output_blocks.1.2.conv"]
        let upper = residual("output_blocks.2.0", hasSkip: true) + residual("output_blocks.3.0", hasSkip: true)
        #expect(program.operations.map(\.key) == encoder + middle + lower + upper + ["out.2"])
        #expect(
            program.places.map(\.description)
                == "down.0 down.1 down.2 down.3 middle up.0 up.1 up.2 up.3".split(separator: " ").map(String.init))
        #expect(program.places.map { program.channels(at: $0) } == [32, 32, 32, 64, 64, 64, 64, 32, 32])
        #expect(
            program.places.map { program.buffers[program.buffer(at: $0)].side } == [16, 16, 8, 8, 8, 8, 16, 16, 16])
    }

    @Test("joins what two stages wrote in one buffer", arguments: [UNetArchitecture.u32, .u64, .tiny])
    func concatenations(architecture: UNetArchitecture) throws {
        let program = try architecture.program()
        var joined = 0
        for buffer in program.buffers.indices {
            let ranges = program.ranges(of: buffer)
            guard !ranges.isEmpty else { continue }
            joined += 1
            #expect(ranges.count == 2)
            #expect(ranges.reduce(0) { $0 + program.buffers[$1].channels } == program.buffers[buffer].channels)
            let writers = ranges.map { range in program.operations.firstIndex { $0.output == range }! }
            let readers = program.operations.indices.filter { program.operations[$0].input == buffer }
            #expect(readers.min()! > writers.max()! && writers[1] < writers[0])
        }
        #expect(joined == program.places.count / 2)
    }

    @Test("lists parameters once each, the skip's last in its block", arguments: [UNetArchitecture.u32, .tiny])
    func parameters(architecture: UNetArchitecture) throws {
        let program = try architecture.program()
        let keys = program.parameters.map(\.key)
        #expect(Set(keys).count == keys.count)
        #expect(
            Set(keys)
                == Set((program.timeEmbedding.parameters + program.operations.flatMap(\.parameters)).map(\.key)))
        let skip = try #require(keys.firstIndex { $0.hasSuffix("skip_connection.weight") })
        #expect(keys[skip - 1].hasSuffix("out_layers.3.bias"))
    }

    @Test("refuses an architecture that can't be built rather than trapping on it")
    func invalidArchitecture() {
        var architecture = UNetArchitecture.u32
        architecture.modelChannels = .max
        #expect(throws: ConfigurationError.self) { try architecture.program() }
    }

    @Test("keeps the keys of guided-diffusion where blocks resample") func residualResampling() throws {
        var architecture = UNetArchitecture.tiny
        architecture.variant.resampling = .residual
        let keys = Set(try architecture.program().parameters.map(\.key))
        for block in ["input_blocks.2.0", "output_blocks.1.2"] {
            for layer in ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"] {
                #expect(keys.contains("\(block).\(layer).weight"))
            }
            #expect(!keys.contains("\(block).skip_connection.weight"))
        }
        architecture.variant.resampling = .residualWithSkip
        let program = try architecture.program()
        #expect(program.parameters.contains { $0.key == "input_blocks.2.0.skip_connection.weight" })
        #expect(program.parameters.contains { $0.key == "output_blocks.1.2.skip_connection.weight" })
        #expect(
            program.places.map { program.buffers[program.buffer(at: $0)].side } == [16, 16, 8, 8, 8, 8, 16, 16, 16])
    }

    @Test("has attention in the last block alone of the decoder's levels, if the variant says so")
    func lastBlockAttention() throws {
        var architecture = UNetArchitecture.tiny
        architecture.variant.decoderAttention = .lastBlock
        let attended = try architecture.program().operations.map(\.key).filter { $0.hasSuffix(".qkv") }
        #expect(attended == ["input_blocks.3.1.qkv", "middle_block.1.qkv", "output_blocks.1.1.qkv"])
    }

    @Test("is described by its differences from PRG's, in one line") func description() {
        var architecture = UNetArchitecture.tiny
        let plain = "\(architecture)"
        architecture.variant.modulation = .additive
        architecture.variant.epsilon = 1e-6
        architecture.variant.residualScale = 0.5.squareRoot()
        #expect(
            "\(architecture)"
                == plain + ", an additive time embedding, residual sums times 0.70710677, epsilon 1e-06")
    }
}
