import ReferenceNetwork
import Tensor
import TestFixtures
import Testing

@testable import Layers

/// ‖found − expected‖ / ‖expected‖.
private func relativeError(_ found: [Float], _ expected: [Double]) -> Double {
    guard found.count == expected.count else { return .infinity }
    let difference = zip(found, expected).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
    return (difference / expected.reduce(0) { $0 + $1 * $1 }).squareRoot()
}

/// A batch with its gradient, both ways.
private struct Sides {
    let reference: Variable
    let plain: PlainMap
    let map: OwnedMap

    init(images: Int, channels: Int, side: Int, noise: inout SeededGenerator) {
        plain = PlainMap(images: images, channels: channels, side: side, noise: &noise)
        reference = Variable(plain.values, shape: [images, channels, side, side])
        map = OwnedMap(plain)
    }
}

private func variable(_ numbers: [Float], _ shape: [Int]) -> Variable {
    Variable(numbers.map(Double.init), shape: shape)
}

@Suite("Gradients of layers agree with the reference's in double")
struct GradientTests {
    /// Every algorithm, sizes that tiles and bands don't divide, sums shared by channels and by images.
    static let shapes = [
        (3, 32, 9, 2), (32, 32, 1, 3), (32, 64, 2, 2), (64, 32, 3, 1), (32, 48, 5, 2), (32, 32, 8, 3), (64, 32, 11, 1),
        (32, 32, 12, 2), (32, 64, 13, 1), (48, 3, 16, 2), (32, 32, 18, 1), (128, 160, 8, 1),
    ]

    @Test("3x3 convolution: any size, resampling and number of workers", arguments: shapes)
    func convolution(shape: (inputs: Int, outputs: Int, side: Int, images: Int)) {
        for resampling in [ConvolutionShape.Resampling.none, .down, .up] {
            for workers in [1, 3] { expectConvolution(shape, resampling, .best, workers: workers) }
        }
    }

    @Test("3x3 convolution: the kernels of every instruction set", arguments: Kernels.all, [7, 14])
    func convolution(kernels: Kernels, side: Int) {
        expectConvolution((32, 48, side, 2), .none, kernels, workers: 2)
    }

    @Test("3x3 convolution: sums shared by channels over more tiles than a chunk, and by more workers than images")
    func convolutionSums() {
        expectConvolution((128, 144, 5, 22), .none, .best, workers: 2)
        expectConvolution((32, 32, 4, 1), .none, .best, workers: 4)
    }

    private func expectConvolution(
        _ shape: (inputs: Int, outputs: Int, side: Int, images: Int), _ resampling: ConvolutionShape.Resampling,
        _ kernels: Kernels, workers: Int
    ) {
        var noise = SeededGenerator(seed: UInt64(shape.side))
        let weight = noise.floats(shape.outputs * shape.inputs * 9)
        let bias = noise.floats(shape.outputs)
        let input = Sides(images: shape.images, channels: shape.inputs, side: shape.side, noise: &noise)
        let pool = WorkerPool(count: workers)
        let layer = ConvolutionShape(
            inputs: shape.inputs, outputs: shape.outputs, side: shape.side, resampling: resampling)
        let output = Sides(images: shape.images, channels: shape.outputs, side: layer.side, noise: &noise)
        let tape = Tape()
        let w = variable(weight, [shape.outputs, shape.inputs, 3, 3])
        let b = variable(bias, [shape.outputs])
        let source = resampling == .up ? tape.doubled(input.reference) : input.reference
        tape.differentiate(
            tape.convolution(source, weight: w, bias: b, stride: resampling == .down ? 2 : 1),
            seed: output.plain.values)

        let gradient = ConvolutionGradient(layer, pool: pool)
        gradient.repack(weight: weight, bias: bias, pool: pool)
        let workspace = Workspace(kernels: kernels, pool: pool, scratchFloats: gradient.scratchFloats)
        let temporary = layer.gradientTemporary.map {
            OwnedMap(images: shape.images, channels: $0.channels, side: $0.side)
        }
        let result = OwnedMap(images: shape.images, channels: shape.inputs, side: shape.side)
        defer { withExtendedLifetime((input, output, temporary, result)) {} }
        gradient.inputGradient(
            output.map.map, into: result.map, temporary: temporary?.map, batch: shape.images, on: workspace)
        let message: Comment = "\(shape) \(resampling) \(layer.algorithm), \(workers) workers, \(kernels.name)"
        #expect(relativeError(result.plain.values.map(Float.init), input.reference.gradient) < 1e-5, message)
        var weightGradient = [Float](repeating: 0, count: weight.count)
        var biasGradient = [Float](repeating: 0, count: bias.count)
        // Twice, so that the sums must have been set to zero.
        for times in 1...2 {
            gradient.accumulate(
                input.map.map, transform: nil, outputGradient: output.map.map, batch: shape.images, on: workspace)
            gradient.addGradients(weight: &weightGradient, bias: &biasGradient, pool: pool)
            let factor = Double(times)
            #expect(relativeError(weightGradient, w.gradient.map { $0 * factor }) < 1e-5, message)
            #expect(relativeError(biasGradient, b.gradient.map { $0 * factor }) < 1e-5, message)
        }
    }

    @Test(
        "GroupNorm, scale and shift, SiLU: in front of 3x3 convolutions, far from zero too", arguments: Kernels.all,
        [5, 16])
    func normalizedConvolution(kernels: Kernels, side: Int) {
        var noise = SeededGenerator(seed: UInt64(side))
        let (channels, outputs, images) = (96, 32, 2)
        let plain = PlainMap(images: images, channels: channels, side: side, noise: &noise)
        var shifted = plain
        for i in shifted.values.indices { shifted.values[i] += 3 }
        let input = OwnedMap(shifted)
        // What the layer reads, rounded as it is there.
        let x = Variable(input.plain.values, shape: [images, channels, side, side])
        let (gamma, beta) = (noise.floats(channels), noise.floats(channels))
        let film = noise.floats(images * 2 * channels)
        let (weight, bias) = (noise.floats(outputs * channels * 9), noise.floats(outputs))
        let output = Sides(images: images, channels: outputs, side: side, noise: &noise)
        let (g, b) = (variable(gamma, [channels]), variable(beta, [channels]))
        let f = variable(film, [images, 2 * channels])
        let w = variable(weight, [outputs, channels, 3, 3])
        let tape = Tape()
        let read = tape.silu(tape.modulated(tape.groupNorm(x, weight: g, bias: b), by: f))
        tape.differentiate(
            tape.convolution(read, weight: w, bias: variable(bias, [outputs])), seed: output.plain.values)

        let pool = WorkerPool(count: 2)
        let layer = ConvolutionShape(inputs: channels, outputs: outputs, side: side)
        let gradient = ConvolutionGradient(layer, pool: pool)
        gradient.repack(weight: weight, bias: bias, pool: pool)
        let norm = GroupNorm(weight: gamma, bias: beta)
        let normGradient = InputTransformGradient(norm, isActivated: true, capacity: images)
        let workspace = Workspace(kernels: kernels, pool: pool, scratchFloats: gradient.scratchFloats)
        let films = AlignedBuffer(film)
        let filmGradients = AlignedBuffer(count: film.count)
        let result = OwnedMap(images: images, channels: channels, side: side)
        defer { withExtendedLifetime((input, output, films, result)) {} }
        let rows = (0..<images).map { UnsafePointer(films.pointer + $0 * 2 * channels) }
        let gradientRows = (0..<images).map { filmGradients.pointer + $0 * 2 * channels }
        var weightGradient = [Float](repeating: 0, count: weight.count)
        var biasGradient = [Float](repeating: 0, count: bias.count)
        rows.withUnsafeBufferPointer { rows in
            gradientRows.withUnsafeBufferPointer { gradientRows in
                let modulation = InputTransform.Modulation(rows: rows.baseAddress!, offset: 0)
                gradient.accumulate(
                    input.map, transform: InputTransform(norm, modulation: modulation, isActivated: true),
                    outputGradient: output.map.map, batch: images, on: workspace)
                let call = InputTransformGradient.Call(normGradient, input: input.map, modulation: modulation)
                gradient.inputGradient(
                    output.map.map, into: result.map, through: call, batch: images, on: workspace)
                normGradient.finish(
                    result.map, of: call, addend: nil, into: result.map,
                    modulationGradient: .init(rows: gradientRows.baseAddress!, offset: 0), batch: images, on: workspace)
            }
        }
        gradient.addGradients(weight: &weightGradient, bias: &biasGradient, pool: pool)
        var gammaGradient = [Float](repeating: 0, count: channels)
        var betaGradient = gammaGradient
        normGradient.addGradients(weight: &gammaGradient, bias: &betaGradient)
        let filmGradient = Array(UnsafeBufferPointer(start: filmGradients.pointer, count: film.count))
        #expect(relativeError(result.plain.values.map(Float.init), x.gradient) < 1e-4)
        #expect(relativeError(weightGradient, w.gradient) < 1e-4)
        #expect(relativeError(gammaGradient, g.gradient) < 1e-4)
        #expect(relativeError(betaGradient, b.gradient) < 1e-4)
        #expect(relativeError(filmGradient, f.gradient) < 1e-4)
    }

    @Test(
        "Attention between its 1x1 convolutions: heads whose width is no multiple of 16, more queries than a chunk",
        arguments: Kernels.all, [(32, 4, 1), (32, 4, 5), (64, 2, 4), (32, 1, 9)])
    func attention(kernels: Kernels, shape: (channels: Int, heads: Int, side: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.side))
        let (channels, heads, side) = shape
        let images = 2
        let input = Sides(images: images, channels: channels, side: side, noise: &noise)
        let output = Sides(images: images, channels: channels, side: side, noise: &noise)
        let (weight, bias) = (noise.floats(3 * channels * channels), noise.floats(3 * channels))
        let (after, afterBias) = (noise.floats(channels * channels), noise.floats(channels))
        let (w, b) = (variable(weight, [3 * channels, channels, 1]), variable(bias, [3 * channels]))
        let (p, c) = (variable(after, [channels, channels, 1]), variable(afterBias, [channels]))
        let tape = Tape()
        let mixedReference = tape.convolution(input.reference, weight: w, bias: b)
        tape.differentiate(
            tape.convolution(tape.attention(mixedReference, heads: heads), weight: p, bias: c),
            seed: output.plain.values)

        let pool = WorkerPool(count: 3)
        let layer = Attention(channels: channels, heads: heads, side: side)
        let before = PointwiseGradient(layer.queriesKeysValues, pool: pool)
        let projection = PointwiseGradient(layer.projection, pool: pool)
        before.repack(weight: weight, bias: bias)
        projection.repack(weight: after, bias: afterBias)
        let scratch = max(
            layer.scratchFloats, layer.gradientScratchFloats, before.scratchFloats, projection.scratchFloats)
        let workspace = Workspace(kernels: kernels, pool: pool, scratchFloats: scratch)
        func map(_ channels: Int) -> OwnedMap { OwnedMap(images: images, channels: channels, side: side) }
        let (mixed, mixedGradient) = (map(before.layer.shape.outputs), map(before.layer.shape.outputs))
        let (attended, attendedGradient) = (map(layer.paddedChannels), map(layer.paddedChannels))
        let result = map(channels)
        defer { withExtendedLifetime((input, output, mixed, mixedGradient, attended, attendedGradient, result)) {} }
        before.layer.forward(
            input.map.map, transform: nil, into: mixed.map, recordsMoments: false, batch: images, on: workspace)
        layer.forward(mixed.map, into: attended.map, batch: images, on: workspace)
        projection.accumulate(
            attended.map, transform: nil, outputGradient: output.map.map, batch: images, on: workspace)
        projection.inputGradient(output.map.map, into: attendedGradient.map, batch: images, on: workspace)
        layer.backward(
            mixed.map, outputGradient: attendedGradient.map, into: mixedGradient.map, batch: images, on: workspace)
        before.accumulate(
            input.map.map, transform: nil, outputGradient: mixedGradient.map, batch: images, on: workspace)
        before.inputGradient(mixedGradient.map, into: result.map, batch: images, on: workspace)
        var (weightGradient, biasGradient) = (weight.map { _ in Float(0) }, bias.map { _ in Float(0) })
        var (afterGradient, afterBiasGradient) = (after.map { _ in Float(0) }, afterBias.map { _ in Float(0) })
        before.addGradients(weight: &weightGradient, bias: &biasGradient)
        projection.addGradients(weight: &afterGradient, bias: &afterBiasGradient)
        #expect(relativeError(result.plain.values.map(Float.init), input.reference.gradient) < 1e-4)
        for (found, expected) in zip([weightGradient, biasGradient, afterGradient, afterBiasGradient], [w, b, p, c]) {
            #expect(relativeError(found, expected.gradient) < 1e-4, "\(expected.shape)")
        }
    }

    @Test("Linear: sizes that are no multiples of 16", arguments: Kernels.all, [(48, 10, 7), (5, 33, 1), (17, 1, 20)])
    func linear(kernels: Kernels, shape: (inputs: Int, outputs: Int, rows: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.inputs))
        let (inputs, outputs, rows) = shape
        let (weight, bias) = (noise.floats(inputs * outputs), noise.floats(outputs))
        let (xs, seed) = (noise.floats(rows * inputs), noise.floats(rows * outputs))
        let (w, b, v) = (
            variable(weight, [outputs, inputs]), variable(bias, [outputs]), variable(xs, [rows, inputs])
        )
        let tape = Tape()
        let expected = tape.linear(v, weight: w, bias: b)
        tape.differentiate(expected, seed: seed.map(Double.init))

        let layer = LinearGradient(inputs: inputs, outputs: outputs, hasBias: true)
        layer.repack(weight: weight, bias: bias)
        let workspace = Workspace(kernels: kernels, pool: WorkerPool(count: 2), scratchFloats: 0)
        // Room for more rows than there are.
        func matrix(_ numbers: [Float], _ columns: Int) -> BlockedMatrix {
            let matrix = BlockedMatrix(rows: rows + 3, columns: columns)
            for i in numbers.indices { matrix[i / columns, i % columns] = numbers[i] }
            return matrix
        }
        func numbers(_ matrix: BlockedMatrix) -> [Float] {
            (0..<(rows * matrix.columns)).map { matrix[$0 / matrix.columns, $0 % matrix.columns] }
        }
        let (x, y) = (matrix(xs, inputs), matrix([], outputs))
        let (yGradient, xGradient) = (matrix(seed, outputs), matrix([], inputs))
        layer.forward(x, into: y, rows: rows, on: workspace)
        layer.inputGradient(yGradient, into: xGradient, rows: rows, on: workspace)
        layer.accumulate(x, yGradient: yGradient, rows: rows, on: workspace)
        var (weightGradient, biasGradient) = (weight.map { _ in Float(0) }, bias.map { _ in Float(0) })
        layer.addGradients(weight: &weightGradient, bias: &biasGradient)
        #expect(relativeError(numbers(y), expected.value) < 1e-5)
        #expect(relativeError(numbers(xGradient), v.gradient) < 1e-5)
        #expect(relativeError(weightGradient, w.gradient) < 1e-5)
        #expect(relativeError(biasGradient, b.gradient) < 1e-5)
    }
}
