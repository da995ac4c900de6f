import FlowModel
import Tensor

/// What the network is shown of a batch of images without labels, and what it should answer (PRG, section 6).
struct FlowMatchingBatch: Sendable {
    /// The network's inputs, in the images' layout: x_t on PRG's paths.
    let states: [Float]
    /// The network's time label of each image.
    let times: [Float]
    /// The network's outputs, in the images' layout: the path's velocity at x_t on PRG's paths.
    let targets: [Float]

    /// Whether a batch is to be trained or to be judged on; each has random numbers of its own.
    enum Use: Sendable {
        case training, validation
    }

    /// Pairs every image with noise and draws its time. Everything follows from the seed, the use and the step.
    ///
    /// - Parameters:
    ///   - images: data, [count][size].
    ///   - count: images.
    ///   - shown: how many pairs the network is shown, 1...count; nil for as many as there are images.
    ///   - flow: `icfm` pairs at random; `otcfm` draws the pairs from the plan that transports the noise of all `count`
    ///     images to them at the least sum of squared distances, so that an image may come twice or not at all, as in the
    ///     reference; `gvp` pairs at random on a trigonometric path; others pair at random.
    init(
        images: [Float], count: Int, shown: Int? = nil, flow: Flow, seed: UInt64, step: Int, use: Use = .training,
        pool: WorkerPool
    ) {
        let shown = shown ?? count
        precondition(images.count.isMultiple(of: count) && (1...count).contains(shown))
        let isTraining = use == .training
        func generator(_ training: CounterGenerator.Purpose, _ validation: CounterGenerator.Purpose) -> CounterGenerator
        {
            CounterGenerator(seed: seed, purpose: isTraining ? training : validation, step: step)
        }
        let size = images.count / count
        let noise = Self.noise(generator(.noise, .validationNoise), count: images.count, pool: pool)
        let random = generator(.times, .validationTimes)
        let times = TrainingTimes(flow)
        let interpolation = (0..<shown).map { times.point(random.uniform($0), normal: random.normal($0)) }
        let pairs =
            flow.path == .otcfm
            ? Self.transportPairs(
                noise, images, count: count, shown: shown, random: generator(.pairs, .validationPairs))
            : (0..<shown).map { ($0, $0 * count / shown) }
        let states = AlignedBuffer(count: shown * size)
        let targets = AlignedBuffer(count: shown * size)
        pool.forEach(shown) { n in
            let (x0, x1, path) = (pairs[n].0 * size, pairs[n].1 * size, interpolation[n])
            for i in 0..<size {
                let (a, b) = (noise.pointer[x0 + i], images[x1 + i])
                states.pointer[n * size + i] = path.state.noise * a + path.state.image * b
                targets.pointer[n * size + i] = path.target.noise * a + path.target.image * b
            }
        }
        self.times = interpolation.map(\.label)
        self.states = Array(UnsafeBufferPointer(start: states.pointer, count: shown * size))
        self.targets = Array(UnsafeBufferPointer(start: targets.pointer, count: shown * size))
    }

    /// Which of the pairs shown belong to some of so many images. They are spread evenly, so that parts of a batch have the same
    /// work.
    func pairs(of images: Range<Int>, among count: Int) -> Range<Int> {
        func before(_ image: Int) -> Int { (image * times.count + count - 1) / count }
        return before(images.lowerBound)..<before(images.upperBound)
    }

    /// Standard normal numbers, the same for any number of workers.
    private static func noise(_ random: CounterGenerator, count: Int, pool: WorkerPool) -> AlignedBuffer {
        let buffer = AlignedBuffer(count: count)
        let groups = (count + 3) / 4
        pool.run { worker in
            let part = WorkerPool.part(worker, of: pool.count, total: groups)
            let range = (4 * part.lowerBound)..<min(4 * part.upperBound, count)
            random.writeNormals(range, to: buffer.pointer + range.lowerBound)
        }
        return buffer
    }

    /// Pairs of noise and image drawn, with replacement, from the optimal plan, which for two uniform sets of the same size is
    /// a permutation.
    private static func transportPairs(
        _ noise: AlignedBuffer, _ images: [Float], count: Int, shown: Int, random: CounterGenerator
    ) -> [(Int, Int)] {
        // ‖a − b‖² = ‖a‖² + ‖b‖² − 2a·b, whose first two terms every permutation sums up alike.
        var costs = [Float](repeating: 0, count: count * count)
        BLAS.multiply(
            noise.pointer, transposed: images, into: &costs, rows: count, columns: count, depth: images.count / count)
        for i in costs.indices { costs[i] = -costs[i] }
        let assignment = MinimumCostAssignment(costs: costs, count: count)
        return (0..<shown).map { draw in
            let row = random.integer(draw, below: count)
            return (row, assignment.columns[row])
        }
    }
}
