import CKernels
import Tensor
import TestFixtures
import Testing

@testable import Layers

private let vectorKernels = Kernels.all.filter { $0.name != "scalar" }

@Suite("Layers agree with their definition in double")
struct LayerTests {
    /// Channels in and out, side, images: odd sizes, tails and every algorithm among them.
    static let shapes = [
        (3, 32, 9, 2), (32, 32, 1, 3), (32, 64, 2, 2), (64, 32, 3, 1), (32, 32, 4, 5), (32, 48, 5, 2), (32, 32, 8, 3),
        (64, 32, 11, 1), (32, 32, 12, 2), (32, 64, 13, 1), (48, 3, 16, 2), (32, 32, 18, 1), (16, 16, 33, 1),
    ]

    @Test("3x3 convolution: any size, resampling and batch, with a residual", arguments: vectorKernels, shapes)
    func convolution(kernels: Kernels, shape: (inputs: Int, outputs: Int, side: Int, images: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.side))
        let weight = noise.floats(shape.outputs * shape.inputs * 9)
        let bias = noise.floats(shape.outputs)
        let input = PlainMap(images: shape.images, channels: shape.inputs, side: shape.side, noise: &noise)
        for resampling in [ConvolutionShape.Resampling.none, .down, .up] {
            for workers in [1, 3] {
                let pool = WorkerPool(count: workers)
                let layer = Convolution(
                    ConvolutionShape(
                        inputs: shape.inputs, outputs: shape.outputs, side: shape.side, resampling: resampling),
                    weight: weight, bias: bias, pool: pool)
                let residual = PlainMap(
                    images: shape.images, channels: shape.outputs, side: layer.shape.side, noise: &noise)
                let output = OwnedMap(images: shape.images, channels: shape.outputs, side: layer.shape.side)
                let residualMap = OwnedMap(residual)
                let source = OwnedMap(input)
                defer { withExtendedLifetime((source, residualMap, output)) {} }
                layer.forward(
                    source.map, transform: nil, into: output.map, residual: residualMap.map,
                    batch: shape.images,
                    on: Workspace(kernels: kernels, pool: pool, scratchFloats: layer.shape.scratchFloats))
                let expected = input.convolved(
                    weight: weight, bias: bias, outputs: shape.outputs, resampling: resampling, residual: residual)
                #expect(output.plain.relativeError(to: expected) < 3e-6, "\(resampling) \(layer.shape.algorithm)")
                expectMoments(output)
            }
        }
    }

    @Test(
        "3x3 and 1x1 convolutions in bf16 stray by the rounding of their factors only",
        arguments: Kernels.all.filter { $0.computes(.bf16) }, [(32, 48, 5, 2), (64, 32, 8, 17), (32, 32, 16, 1)])
    func reducedPrecision(kernels: Kernels, shape: (inputs: Int, outputs: Int, side: Int, images: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.side))
        let weight = noise.floats(shape.outputs * shape.inputs * 9)
        let bias = noise.floats(shape.outputs)
        let input = PlainMap(images: shape.images, channels: shape.inputs, side: shape.side, noise: &noise)
        let pool = WorkerPool(count: 2)
        let source = OwnedMap(input)
        let output = OwnedMap(images: shape.images, channels: shape.outputs, side: shape.side)
        defer { withExtendedLifetime((source, output)) {} }
        let layer = Convolution(
            ConvolutionShape(
                inputs: shape.inputs, outputs: shape.outputs, side: shape.side, precision: .bf16),
            weight: weight, bias: bias, pool: pool)
        #expect(layer.shape.precision == .bf16)
        layer.forward(
            source.map, transform: nil, into: output.map, batch: shape.images,
            on: Workspace(kernels: kernels, pool: pool, scratchFloats: layer.shape.scratchFloats))
        let expected = input.convolved(
            weight: weight, bias: bias, outputs: shape.outputs, resampling: .none, residual: nil)
        #expect((1e-5..<6e-3).contains(output.plain.relativeError(to: expected)))

        // A 1x1 convolution is a 3x3 one whose other weights are zero.
        let centre = (0..<(shape.outputs * shape.inputs)).map { weight[$0 * 9 + 4] }
        let padded = centre.flatMap { w -> [Float] in [0, 0, 0, 0, w, 0, 0, 0, 0] }
        let pointwise = PointwiseConvolution(
            PointwiseShape(inputs: shape.inputs, outputs: shape.outputs, side: shape.side, precision: .bf16),
            weight: centre, bias: bias)
        pointwise.forward(
            source.map, transform: nil, into: output.map, recordsMoments: true, batch: shape.images,
            on: Workspace(kernels: kernels, pool: pool, scratchFloats: pointwise.shape.scratchFloats))
        let plain = input.convolved(
            weight: padded, bias: bias, outputs: shape.outputs, resampling: .none, residual: nil)
        #expect((1e-5..<6e-3).contains(output.plain.relativeError(to: plain)))
    }

    /// The moments that a layer leaves are those of what it wrote.
    private func expectMoments(_ output: OwnedMap) {
        let plain = output.plain
        var means = [Float](repeating: 0, count: plain.channels)
        for n in 0..<plain.images {
            output.map.spatialMeans(ofImage: n, into: &means)
            for c in 0..<plain.channels {
                var sum = 0.0
                for y in 0..<plain.side { for x in 0..<plain.side { sum += plain[n, c, y, x] } }
                #expect(abs(Double(means[c]) - sum / Double(plain.side * plain.side)) < 1e-4)
            }
        }
    }

    @Test("GroupNorm, scale and shift, SiLU inside a convolution's reading", arguments: vectorKernels, [5, 16])
    func normalizedConvolution(kernels: Kernels, side: Int) {
        var noise = SeededGenerator(seed: UInt64(side))
        let (channels, images) = (96, 2)
        var input = PlainMap(images: images, channels: channels, side: side, noise: &noise)
        // A mean far from zero would expose a variance computed by cancellation.
        for i in input.values.indices { input.values[i] += 20 }
        let (gamma, beta) = (noise.floats(channels), noise.floats(channels))
        let modulation = (0..<images).map { _ in AlignedBuffer(noise.floats(2 * channels)) }
        let weight = noise.floats(32 * channels * 9)
        let bias = noise.floats(32)
        var normalized = input
        for n in 0..<images {
            for group in 0..<32 {
                let members = (group * 3)..<(group * 3 + 3)
                var sum = 0.0
                var squares = 0.0
                let count = Double(3 * side * side)
                for c in members { for y in 0..<side { for x in 0..<side { sum += input[n, c, y, x] } } }
                for c in members {
                    for y in 0..<side {
                        for x in 0..<side {
                            let d = input[n, c, y, x] - sum / count
                            squares += d * d
                        }
                    }
                }
                let inverse = 1 / (squares / count + 1e-5).squareRoot()
                for c in members {
                    let (scale, shift) = (Double(modulation[n].pointer[c]), Double(modulation[n].pointer[channels + c]))
                    for y in 0..<side {
                        for x in 0..<side {
                            let affine =
                                (input[n, c, y, x] - sum / count) * inverse * Double(gamma[c]) + Double(beta[c])
                            let v = affine * (1 + scale) + shift
                            normalized[n, c, y, x] = v / (1 + exponential(-v))
                        }
                    }
                }
            }
        }
        let pool = WorkerPool(count: 2)
        let layer = Convolution(
            ConvolutionShape(inputs: channels, outputs: 32, side: side), weight: weight, bias: bias, pool: pool)
        let output = OwnedMap(images: images, channels: 32, side: side)
        let source = OwnedMap(input)
        defer { withExtendedLifetime((source, output, modulation)) {} }
        let rows = modulation.map { UnsafePointer($0.pointer) }
        rows.withUnsafeBufferPointer { rows in
            layer.forward(
                source.map,
                transform: InputTransform(
                    GroupNorm(weight: gamma, bias: beta), modulation: .init(rows: rows.baseAddress!, offset: 0),
                    isActivated: true),
                into: output.map, batch: images,
                on: Workspace(kernels: kernels, pool: pool, scratchFloats: layer.shape.scratchFloats))
        }
        let expected = normalized.convolved(weight: weight, bias: bias, outputs: 32, resampling: .none, residual: nil)
        #expect(output.plain.relativeError(to: expected) < 1e-5)
    }

    @Test("1x1 convolution", arguments: vectorKernels, [(32, 96, 1), (96, 32, 4), (64, 64, 7), (32, 32, 20)])
    func pointwise(kernels: Kernels, shape: (inputs: Int, outputs: Int, side: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.side))
        let input = PlainMap(images: 3, channels: shape.inputs, side: shape.side, noise: &noise)
        let weight = noise.floats(shape.outputs * shape.inputs)
        let bias = noise.floats(shape.outputs)
        let pool = WorkerPool(count: 2)
        let layer = PointwiseConvolution(
            PointwiseShape(inputs: shape.inputs, outputs: shape.outputs, side: shape.side), weight: weight, bias: bias)
        let output = OwnedMap(images: 3, channels: shape.outputs, side: shape.side)
        let source = OwnedMap(input)
        defer { withExtendedLifetime((source, output)) {} }
        layer.forward(
            source.map, transform: nil, into: output.map, recordsMoments: true, batch: 3,
            on: Workspace(kernels: kernels, pool: pool, scratchFloats: layer.shape.scratchFloats))
        var expected = PlainMap(images: 3, channels: shape.outputs, side: shape.side)
        for n in 0..<3 {
            for o in 0..<shape.outputs {
                for y in 0..<shape.side {
                    for x in 0..<shape.side {
                        expected[n, o, y, x] = (0..<shape.inputs).reduce(Double(bias[o])) {
                            $0 + input[n, $1, y, x] * Double(weight[o * shape.inputs + $1])
                        }
                    }
                }
            }
        }
        #expect(output.plain.relativeError(to: expected) < 1e-6)
        expectMoments(output)
    }

    @Test(
        "Attention: heads whose width is no multiple of 16, odd numbers of tokens", arguments: vectorKernels,
        [(32, 4, 1), (32, 4, 5), (64, 2, 4), (96, 4, 9), (32, 1, 12)])
    func attention(kernels: Kernels, shape: (channels: Int, heads: Int, side: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.side))
        let (channels, heads, side) = shape
        let (tokens, d) = (side * side, channels / heads)
        let input = PlainMap(images: 2, channels: channels, side: side, noise: &noise)
        let qkv = (weight: noise.floats(3 * channels * channels), bias: noise.floats(3 * channels))
        let projection = (weight: noise.floats(channels * channels), bias: noise.floats(channels))
        var expected = PlainMap(images: 2, channels: channels, side: side)
        for n in 0..<2 {
            let mixed = linear(input, n, qkv.weight, qkv.bias)
            var attended = [[Double]](repeating: [Double](repeating: 0, count: tokens), count: channels)
            for head in 0..<heads {
                let q = head * 3 * d
                for t in 0..<tokens {
                    let scores = (0..<tokens).map { s in
                        (0..<d).reduce(0.0) { $0 + mixed[q + $1][t] * mixed[q + d + $1][s] } / Double(d).squareRoot()
                    }
                    let greatest = scores.max()!
                    let weights = scores.map { exponential($0 - greatest) }
                    let sum = weights.reduce(0, +)
                    for i in 0..<d {
                        attended[head * d + i][t] =
                            (0..<tokens).reduce(0.0) { $0 + weights[$1] * mixed[q + 2 * d + i][$1] } / sum
                    }
                }
            }
            for o in 0..<channels {
                for t in 0..<tokens {
                    expected[n, o, t / side, t % side] = (0..<channels).reduce(Double(projection.bias[o])) {
                        $0 + attended[$1][t] * Double(projection.weight[o * channels + $1])
                    }
                }
            }
        }
        let pool = WorkerPool(count: 2)
        let layer = Attention(channels: channels, heads: heads, side: side)
        let before = PointwiseConvolution(layer.queriesKeysValues, weight: qkv.weight, bias: qkv.bias)
        let after = PointwiseConvolution(layer.projection, weight: projection.weight, bias: projection.bias)
        let scratch = max(layer.scratchFloats, before.shape.scratchFloats, after.shape.scratchFloats)
        let workspace = Workspace(kernels: kernels, pool: pool, scratchFloats: scratch)
        let source = OwnedMap(input)
        let mixed = OwnedMap(images: 2, channels: before.shape.outputs, side: side)
        let attended = OwnedMap(images: 2, channels: layer.paddedChannels, side: side)
        let output = OwnedMap(images: 2, channels: channels, side: side)
        defer { withExtendedLifetime((source, mixed, attended, output)) {} }
        before.forward(
            source.map, transform: nil, into: mixed.map, recordsMoments: false, batch: 2, on: workspace)
        layer.forward(mixed.map, into: attended.map, batch: 2, on: workspace)
        after.forward(
            attended.map, transform: nil, into: output.map, recordsMoments: true, batch: 2, on: workspace)
        #expect(output.plain.relativeError(to: expected) < 2e-6)
    }

    /// [outputs][tokens] of one image.
    private func linear(_ map: PlainMap, _ n: Int, _ weight: [Float], _ bias: [Float]) -> [[Double]] {
        (0..<bias.count).map { o in
            (0..<(map.side * map.side)).map { t in
                (0..<map.channels).reduce(Double(bias[o])) {
                    $0 + map[n, $1, t / map.side, t % map.side] * Double(weight[o * map.channels + $1])
                }
            }
        }
    }

    @Test("Linear: sizes that are no multiples of 16", arguments: vectorKernels, [(768, 10), (5, 33), (17, 1)])
    func linearLayer(kernels: Kernels, shape: (inputs: Int, outputs: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.inputs))
        let weight = noise.floats(shape.inputs * shape.outputs)
        let bias = noise.floats(shape.outputs)
        let x = noise.floats(shape.inputs)
        let y = Linear(weight: weight, bias: bias, inputs: shape.inputs, outputs: shape.outputs)(x, kernels: kernels)
        for o in 0..<shape.outputs {
            let expected = (0..<shape.inputs).reduce(Double(bias[o])) {
                $0 + Double(x[$1]) * Double(weight[o * shape.inputs + $1])
            }
            #expect(abs(Double(y[o]) - expected) < 1e-4)
        }
    }

    @Test("Linear: a row's bits depend neither on the other rows nor on the vector kernels", arguments: vectorKernels)
    func linearRows(kernels: Kernels) {
        var noise = SeededGenerator(seed: 7)
        let layer = Linear(weight: noise.floats(40 * 50), bias: noise.floats(50), inputs: 40, outputs: 50)
        let x = noise.floats(17 * 40)
        let together = layer(x, kernels: .best)
        for row in 0..<17 {
            let alone = layer(Array(x[row * 40..<(row + 1) * 40]), kernels: kernels)
            #expect(alone == Array(together[row * 50..<(row + 1) * 50]))
        }
    }

    @Test("Bands are divided where fetching activations is expensive, channels where reading weights is")
    func divisionFollowsCosts() {
        func division(weightBytes: Double, fetching: Double) -> WorkDivision {
            WorkDivision(
                workers: 4, imageParts: 1, units: 8, blocks: 16, rows: 64, inputs: 256, weights: 1 << 16, source: 4_096,
                costs: hw_costs(
                    multiply_adds: 32, weight_bytes: weightBytes, preparation: 0.25, fetching: fetching,
                    shared_cache: 0,
                    prefetch: 0))
        }
        #expect(division(weightBytes: 8, fetching: 1_000).unitParts == 4)
        #expect(division(weightBytes: 0.01, fetching: 2).blockParts == 4)
    }

    @Test("Work is divided completely and once, images among groups of processors first", arguments: 1...6)
    func division(workers: Int) {
        let divisors = (1...workers).filter { workers.isMultiple(of: $0) }
        for (units, imageParts) in [(1, 1), (3, 1), (8, 1)] + divisors.map({ (24, $0) }) {
            for blocks in [1, 2, 5, 16] {
                let division = WorkDivision(
                    workers: workers, imageParts: imageParts, units: units, blocks: blocks, rows: 64, inputs: 256,
                    weights: 1 << 16,
                    source: 4_096)
                #expect(division.unitParts % imageParts == 0)
                var seen = Set<Int>()
                for worker in 0..<workers {
                    let part = division.part(of: worker, units: units, blocks: blocks)
                    for unit in part.units {
                        for block in part.blocks { #expect(seen.insert(unit * 100 + block).inserted) }
                    }
                }
                #expect(seen.count == units * blocks)
            }
        }
    }
}
