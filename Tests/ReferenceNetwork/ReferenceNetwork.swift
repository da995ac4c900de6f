public import FlowModel
import Layers
public import Networks

#if canImport(Glibc)
    import Glibc
#endif

/// A reverse pass by Euler's method, as its definition has it: x ← x + h·(a·x + b·F(c·x, τ)).
public struct ReferencePass: Sendable {
    /// What an image is multiplied by to be the first state.
    public let imageScale: Double
    /// Where each step leaves from, and its h.
    public let steps: [(point: FlowPoint, size: Double)]
    /// Where the head reads.
    public let stop: FlowPoint
    /// What a state is multiplied by there before it is pooled.
    public let stopUnit: Double

    /// A pass of a flow whose network is the velocity.
    public init(steps: [(time: Double, size: Double)], stopTime: Double) {
        func point(_ time: Double) -> FlowPoint { FlowPoint(a: 0, b: 1, c: 1, label: time) }
        self.steps = steps.map { (point($0.time), $0.size) }
        (imageScale, stop, stopUnit) = (1, point(stopTime), 1)
    }

    /// A pass over `count` points of a flow.
    public init(_ flow: ParametrisedFlow, count: Int) {
        let points = flow.grid(count: count).map { (s: $0.s, point: flow.point(at: $0.s, time: $0.time)) }
        steps = zip(points, points.dropFirst()).map { ($0.point, $1.s - $0.s) }
        imageScale = 1 / (flow.imageScale * flow.unit(at: points[0].s))
        stop = points.last!.point
        stopUnit = flow.unit(at: points.last!.s)
    }
}

/// A network program and a head, interpreted in double by the definition of each operation: what the fast ones are held against.
public final class ReferenceNetwork {
    /// What is interpreted.
    public let program: NetworkProgram
    /// Every parameter by its key: the network's, and the head's if there is one.
    public let parameters: [String: Variable]
    private let head: HeadConfiguration?

    /// Takes the parameters' numbers from `source`.
    public init(_ program: NetworkProgram, head: HeadConfiguration? = nil, source: (ParameterShape) -> [Float]) {
        self.program = program
        self.head = head
        parameters = Dictionary(
            uniqueKeysWithValues: (program.parameters + (head?.parameters(on: program) ?? [])).map {
                ($0.key, Variable(source($0).map(Double.init), shape: $0.shape))
            })
    }

    /// The velocity of `x`, [images][channels][side][side], each image at its own time.
    public func velocity(_ x: Variable, times: [Float], on tape: Tape) -> Variable {
        run(x, times: times, operationCount: program.operations.count, on: tape).value(program.output, tape)
    }

    /// The activations at `place`, [images][channels][side][side], of an evaluation of the velocity.
    public func activations(_ x: Variable, times: [Float], at place: ActivationPlace, on tape: Tape) -> Variable {
        run(x, times: times, operationCount: program.operationCount(through: place), on: tape)
            .value(program.buffer(at: place), tape)
    }

    /// The logits, [images][classes], of images, [images][3][side][side], after a pass.
    public func logits(of images: Variable, after pass: ReferencePass, on tape: Tape) -> Variable {
        let start = tape.scaled(images, by: pass.imageScale)
        let state = pass.steps.reduce(start) { x, step in
            let times = [Float](repeating: Float(step.point.label), count: x.shape[0])
            let output = velocity(tape.scaled(x, by: step.point.c), times: times, on: tape)
            let slope = tape.sum(tape.scaled(x, by: step.point.a), output, factor: step.point.b)
            return tape.sum(x, slope, factor: step.size)
        }
        let times = [Float](repeating: Float(pass.stop.label), count: state.shape[0])
        let input =
            head!.place.map {
                let read = activations(tape.scaled(state, by: pass.stop.c), times: times, at: $0.place, on: tape)
                return tape.pooled(read, to: $0.divisions)
            } ?? tape.pooled(tape.scaled(state, by: pass.stopUnit), to: head!.pooledSize)
        let normalized = tape.layerNorm(
            input, weight: self["classifier.0.weight"], bias: self["classifier.0.bias"])
        let hidden = tape.linear(normalized, weight: self["classifier.1.weight"], bias: self["classifier.1.bias"])
        return tape.linear(tape.hyperbolicTangent(hidden), weight: self["classifier.3.weight"], bias: nil)
    }

    private subscript(_ key: String) -> Variable { parameters[key]! }
}

// MARK: - Operations

extension ReferenceNetwork {
    /// What the buffers of a program hold.
    private struct Buffers {
        let program: NetworkProgram
        var written: [NetworkProgram.BufferIndex: Variable] = [:]

        /// What a buffer holds; of one whose ranges have writers, their concatenation.
        func value(_ buffer: NetworkProgram.BufferIndex, _ tape: Tape) -> Variable {
            if let value = written[buffer] { return value }
            let parts = program.ranges(of: buffer).map { written[$0]! }
            return parts.dropFirst().reduce(parts[0]) { tape.concatenated($0, $1) }
        }
    }

    private func run(_ x: Variable, times: [Float], operationCount: Int, on tape: Tape) -> Buffers {
        let embedding = timeEmbedding(times, on: tape)
        var buffers = Buffers(program: program, written: [program.input: x])
        for operation in program.operations.prefix(operationCount) {
            let input = transformed(
                buffers.value(operation.input, tape), by: operation.transform, embedding: embedding, tape)
            let result = result(of: operation, input, tape)
            let factor = Double(operation.factor)
            buffers.written[operation.output] =
                operation.residual.map { tape.sum(buffers.value($0, tape), result, factor: factor) }
                ?? (factor == 1 ? result : tape.scaled(result, by: factor))
        }
        return buffers
    }

    private func result(of operation: NetworkOperation, _ x: Variable, _ tape: Tape) -> Variable {
        func convolution(_ x: Variable, stride: Int = 1, padding: Int? = nil) -> Variable {
            tape.convolution(
                x, weight: self[operation.key + ".weight"], bias: self[operation.key + ".bias"], stride: stride,
                padding: padding)
        }
        switch operation.kind {
        case .convolution(let shape):
            switch shape.resampling {
            case .none: return convolution(x)
            case .down: return convolution(x, stride: 2, padding: shape.padding == .bottomRight ? 0 : nil)
            case .up: return convolution(tape.doubled(x))
            }
        case .pointwise: return convolution(x)
        case .attention(let attention): return tape.attention(x, heads: attention.heads)
        case .resampling(let shape):
            switch shape.resampling {
            case .none: return x
            case .down: return tape.halved(x)
            case .up: return tape.doubled(x)
            }
        }
    }

    private func transformed(
        _ x: Variable, by transform: NetworkOperation.Transform?, embedding: Variable, _ tape: Tape
    ) -> Variable {
        guard let transform else { return x }
        let numbers = transform.modulation.map { linear($0.key, embedding, tape) }
        let isShifted = transform.modulation?.kind == .addend
        var result = tape.groupNorm(
            isShifted ? tape.shifted(x, by: numbers!) : x, weight: self[transform.normKey + ".weight"],
            bias: self[transform.normKey + ".bias"], epsilon: transform.epsilon)
        if let numbers, !isShifted { result = tape.modulated(result, by: numbers) }
        return transform.isActivated ? tape.silu(result) : result
    }

    private func timeEmbedding(_ times: [Float], on tape: Tape) -> Variable {
        let embedding = program.timeEmbedding
        let half = embedding.channels / 2
        let layout = embedding.sinusoids
        // The frequencies are f32 in the reference implementation, and so is their product with the time.
        let arguments = times.map { t in
            (0..<half).map { i in
                Double(t * Float(exp(-log(10_000.0) * Double(i) / Double(half - layout.frequencyShift))))
            }
        }
        let sinusoids = arguments.flatMap { row in
            let (cosines, sines) = (row.map { cos($0) }, row.map { sin($0) })
            return layout.beginsWithSines ? sines + cosines : cosines + sines
        }
        let hidden = linear(
            embedding.firstKey, Variable(sinusoids, shape: [times.count, embedding.channels]), tape)
        return tape.silu(linear(embedding.secondKey, tape.silu(hidden), tape))
    }

    private func linear(_ key: String, _ x: Variable, _ tape: Tape) -> Variable {
        tape.linear(x, weight: self[key + ".weight"], bias: self[key + ".bias"])
    }
}
