import CKernels
public import Tensor

/// What a forward pass borrows: kernels, workers, and scratch memory for each worker, allocated once.
///
/// One pass at a time may use a workspace.
public final class Workspace {
    /// The kernels that every layer calls.
    public let kernels: Kernels
    /// The workers that carry out the layers' parallel sections.
    public let pool: WorkerPool
    /// Optional profiler.
    public var profile: LayerProfile?
    private let scratch: [AlignedBuffer]

    /// Allocates `scratchFloats` floats for each worker: the largest `scratchFloats` of the layers that will be run.
    public init(kernels: Kernels, pool: WorkerPool, scratchFloats: Int) {
        self.kernels = kernels
        self.pool = pool
        scratch = (0..<pool.count).map { _ in AlignedBuffer(count: scratchFloats) }
    }

    private init(kernels: Kernels, scratch: AlignedBuffer) {
        self.kernels = kernels
        pool = WorkerPool(count: 1, domains: .undivided)
        self.scratch = [scratch]
    }

    /// One workspace per worker, in which it computes alone with its own scratch memory. Use them only within a section of this
    /// workspace's pool.
    public func divided() -> [Workspace] { scratch.map { Workspace(kernels: kernels, scratch: $0) } }

    /// Bytes held.
    public var byteCount: Int { scratch.reduce(0) { $0 + $1.count * MemoryLayout<Float>.stride } }

    /// Runs a layer's parallel section; `plan` is asked for only when a profile is kept.
    func run<Call>(_ plan: @autoclosure () -> LayerPlan, on call: inout Call, _ section: WorkerPool.Section) {
        guard let profile else { return pool.run(on: &call, section) }
        let clock = ContinuousClock()
        let start = clock.now
        pool.run(on: &call, section)
        profile.add(plan(), start.duration(to: clock.now))
    }

    func scratch(of worker: Int) -> Scratch { Scratch(next: scratch[worker].pointer) }
}

/// A worker's scratch memory, handed out from the front in 64-byte steps.
package struct Scratch {
    fileprivate(set) var next: UnsafeMutablePointer<Float>

    fileprivate init(next: UnsafeMutablePointer<Float>) { self.next = next }

    mutating func take(_ count: Int) -> UnsafeMutablePointer<Float> {
        defer { next += Scratch.rounded(count) }
        return next
    }

    /// `count` floats in whole cache lines.
    static func rounded(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}

/// How a layer's work is divided: over the bands of all images, over the output channels, or both.
package struct WorkDivision {
    let unitParts: Int
    let blockParts: Int

    /// The division into so many parts; their product is the number of workers.
    init(unitParts: Int, blockParts: Int) {
        self.unitParts = unitParts
        self.blockParts = blockParts
    }

    /// Chooses the division with the least estimated time.
    ///
    /// Dividing the units (bands of images) makes every worker read all weights; dividing the output blocks makes every
    /// worker prepare all inputs, most of which another one has written. The division decides who computes a number,
    /// never how, so it may look at the batch.
    /// - Parameters:
    ///   - imageParts: parts that the images are divided into at least, a divisor of `workers`.
    ///   - units: bands of all images.
    ///   - blocks: 16-wide blocks of output channels.
    ///   - rows: matrix rows of a unit (tiles or pixels) over all positions.
    ///   - inputs: columns of the matrix.
    ///   - weights: 32-bit words of packed weights of one block.
    ///   - source: floats of the input map in a unit.
    ///   - costs: what the work costs on this processor.
    init(
        workers: Int, imageParts: Int, units: Int, blocks: Int, rows: Int, inputs: Int, weights: Int, source: Int,
        costs: hw_costs = Kernels.best.costs
    ) {
        var best = (cost: Double.infinity, units: workers, blocks: 1)
        for unitParts in stride(from: imageParts, through: workers, by: imageParts)
        where workers % unitParts == 0 {
            let blockParts = workers / unitParts
            let partUnits = Double((units + unitParts - 1) / unitParts)
            let partBlocks = Double((blocks + blockParts - 1) / blockParts)
            // Cycles, roughly. Weights are read behind the arithmetic where there is enough of it.
            let matrix = partUnits * Double(rows) * Double(inputs)
            let arithmetic = matrix * partBlocks * Double(channelBlock) / costs.multiply_adds
            let reading = partBlocks * Double(weights) * 4 / costs.weight_bytes
            let preparation = matrix * costs.preparation
            let fetching = partUnits * Double(source) * (1 - 1 / Double(blockParts)) * costs.fetching
            let cost = max(arithmetic, reading) + preparation + fetching
            if cost < best.cost { best = (cost, unitParts, blockParts) }
        }
        unitParts = best.units
        blockParts = best.blocks
    }

    /// The part of worker `worker`: a range of units and a range of blocks.
    func part(of worker: Int, units: Int, blocks: Int) -> (units: Range<Int>, blocks: Range<Int>) {
        // Blocks go in pairs, the width of the widest register tile.
        let pairs = WorkerPool.part(worker % blockParts, of: blockParts, total: (blocks + 1) / 2)
        return (
            WorkerPool.part(worker / blockParts, of: unitParts, total: units),
            min(pairs.lowerBound * 2, blocks)..<min(pairs.upperBound * 2, blocks)
        )
    }
}
