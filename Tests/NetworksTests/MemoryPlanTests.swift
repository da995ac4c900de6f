import FlowModel
import TestFixtures
import Testing

@testable import Networks

@Suite("Memory that is needed for a while") struct MemoryPlanTests {
    @Test("is shared by blocks whose lifetimes don't overlap, and by no others", arguments: 0..<20)
    func placement(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let blocks = (0..<30).map { _ in
            let start = Int(random.next() % 40)
            return MemoryPlan.Block(
                count: Int(random.next() % 200), lifetime: start...start + Int(random.next() % 10))
        }
        let plan = MemoryPlan(blocks)
        func range(_ index: Int) -> Range<Int> { plan.offsets[index]..<plan.offsets[index] + blocks[index].count }
        for i in blocks.indices {
            #expect(plan.offsets[i] % 16 == 0 && range(i).upperBound <= plan.count)
            for j in blocks.indices where i != j && blocks[i].lifetime.overlaps(blocks[j].lifetime) {
                #expect(!range(i).overlaps(range(j)) || range(i).isEmpty || range(j).isEmpty)
            }
        }
        let most = (0..<50).map { step in
            blocks.reduce(0) { $0 + ($1.lifetime.contains(step) ? ($1.count + 15) / 16 * 16 : 0) }
        }.max()!
        #expect(plan.count >= most && plan.count <= most * 3 / 2)
    }

    @Test("of an evaluation is less than half of all its buffers'")
    func evaluation() throws {
        let program = try UNetArchitecture(
            modelChannels: 128, residualBlocks: 3, channelMultipliers: [1, 2, 2, 2], attentionDownsampling: [2, 4],
            heads: 4, imageSize: 32
        ).program()
        let all = ArenaLayout(program.owners.map { program.map($0, lifetime: 0...0) })
        #expect(2 * program.evaluationLayout.byteCount(capacity: 8) < all.byteCount(capacity: 8))
    }
}
