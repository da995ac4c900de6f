public import FlowModel

#if canImport(Glibc)
    import Glibc
#endif

/// The velocity network and the head in double and without any cleverness: what the fast ones are held against.
public final class ReferenceNetwork {
    /// The network spelled out.
    public let layout: UNetLayout
    /// Every parameter by its key: the network's, and the head's if there is one.
    public let parameters: [String: Variable]
    private let head: HeadConfiguration?

    /// Takes the parameters' numbers from `source`.
    public init(layout: UNetLayout, head: HeadConfiguration? = nil, source: (ParameterShape) -> [Float]) {
        self.layout = layout
        self.head = head
        parameters = Dictionary(
            uniqueKeysWithValues: (layout.parameters + (head?.parameters(on: layout) ?? [])).map {
                ($0.key, Variable(source($0).map(Double.init), shape: $0.shape))
            })
    }

    /// The velocity of `x`, [images][3][side][side], each image at its own time.
    public func velocity(_ x: Variable, times: [Float], on tape: Tape) -> Variable {
        let last = activations(x, times: times, at: .up(layout.outputBlocks.count - 1), on: tape)
        return convolution("out.2", tape.silu(norm("out.0", last, tape)), tape)
    }

    /// The activations at `place`, [images][channels][side][side], of an evaluation of the velocity.
    public func activations(_ x: Variable, times: [Float], at place: ActivationPlace, on tape: Tape) -> Variable {
        let embedding = timeEmbedding(times, on: tape)
        var current = x
        var skips: [Variable] = []
        for (i, stage) in layout.inputBlocks.enumerated() {
            current = run(stage, on: current, embedding: embedding, tape: tape)
            if place == .down(i) { return current }
            skips.append(current)
        }
        current = run(layout.middle, on: current, embedding: embedding, tape: tape)
        if place == .middle { return current }
        for (i, stage) in layout.outputBlocks.enumerated() {
            current = run(
                stage, on: tape.concatenated(current, skips.removeLast()), embedding: embedding, tape: tape)
            if place == .up(i) { return current }
        }
        preconditionFailure("no place \(place)")
    }

    /// The logits, [images][classes], of final states, [images][3][side][side], at `time`.
    public func logits(_ state: Variable, time: Float, on tape: Tape) -> Variable {
        let times = [Float](repeating: time, count: state.shape[0])
        let input =
            head!.place.map { tape.pooled(activations(state, times: times, at: $0, on: tape), to: 1) }
            ?? tape.pooled(state, to: head!.pooledSize)
        let normalized = tape.layerNorm(
            input, weight: self["classifier.0.weight"], bias: self["classifier.0.bias"])
        let hidden = tape.linear(normalized, weight: self["classifier.1.weight"], bias: self["classifier.1.bias"])
        return tape.linear(tape.hyperbolicTangent(hidden), weight: self["classifier.3.weight"], bias: nil)
    }

    /// The state after Euler steps x ← x + size·v(time, x), from `x`, [images][3][side][side].
    public func integrated(_ x: Variable, steps: [(time: Float, size: Float)], on tape: Tape) -> Variable {
        steps.reduce(x) { x, step in
            let times = [Float](repeating: step.time, count: x.shape[0])
            return tape.sum(x, velocity(x, times: times, on: tape), factor: Double(step.size))
        }
    }

    private subscript(_ key: String) -> Variable { parameters[key]! }

    private func timeEmbedding(_ times: [Float], on tape: Tape) -> Variable {
        let channels = layout.architecture.modelChannels
        let half = channels / 2
        // The frequencies are f32 in the reference implementation, and so is their product with the time.
        let arguments = times.map { t in
            (0..<half).map { Double(t * Float(exp(-log(10_000.0) * Double($0) / Double(half)))) }
        }
        let sinusoids = arguments.flatMap { row in row.map { cos($0) } + row.map { sin($0) } }
        let hidden = linear("time_embed.0", Variable(sinusoids, shape: [times.count, channels]), tape)
        return tape.silu(linear("time_embed.2", tape.silu(hidden), tape))
    }

    private func run(_ stage: UNetLayout.Stage, on x: Variable, embedding: Variable, tape: Tape) -> Variable {
        stage.blocks.reduce(x) { x, block in
            switch block {
            case .convolution(let key, _, _): convolution(key, x, tape)
            case .downsample(let key, _): convolution(key + ".op", x, tape, stride: 2)
            case .upsample(let key, _): convolution(key + ".conv", tape.doubled(x), tape)
            case .residual(let key, let inputs, let outputs):
                residual(key, x, hasProjection: inputs != outputs, embedding: embedding, tape: tape)
            case .attention(let key, _): attention(key, x, tape)
            }
        }
    }

    private func residual(
        _ key: String, _ x: Variable, hasProjection: Bool, embedding: Variable, tape: Tape
    ) -> Variable {
        let hidden = convolution(key + ".in_layers.2", tape.silu(norm(key + ".in_layers.0", x, tape)), tape)
        let modulated = tape.modulated(
            norm(key + ".out_layers.0", hidden, tape), by: linear(key + ".emb_layers.1", embedding, tape))
        let result = convolution(key + ".out_layers.3", tape.silu(modulated), tape)
        return tape.sum(hasProjection ? convolution(key + ".skip_connection", x, tape) : x, result)
    }

    private func attention(_ key: String, _ x: Variable, _ tape: Tape) -> Variable {
        let mixed = convolution(key + ".qkv", norm(key + ".norm", x, tape), tape)
        let attended = tape.attention(mixed, heads: layout.architecture.heads)
        return tape.sum(x, convolution(key + ".proj_out", attended, tape))
    }

    private func norm(_ key: String, _ x: Variable, _ tape: Tape) -> Variable {
        tape.groupNorm(x, weight: self[key + ".weight"], bias: self[key + ".bias"])
    }

    private func linear(_ key: String, _ x: Variable, _ tape: Tape) -> Variable {
        tape.linear(x, weight: self[key + ".weight"], bias: self[key + ".bias"])
    }

    private func convolution(_ key: String, _ x: Variable, _ tape: Tape, stride: Int = 1) -> Variable {
        tape.convolution(x, weight: self[key + ".weight"], bias: self[key + ".bias"], stride: stride)
    }
}
