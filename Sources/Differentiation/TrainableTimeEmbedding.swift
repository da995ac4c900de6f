import Glibc
import Layers
import Networks
import Tensor

/// From times to every modulation, in both directions: sinusoids, Linear, SiLU, Linear, SiLU, and a Linear for each
/// modulation, each image at its own time.
final class TrainableTimeEmbedding {
    private let timeEmbedding: TimeEmbedding
    private let first: TrainableLinear
    private let second: TrainableLinear
    private let projections: [TrainableLinear]
    private let sinusoids: BlockedMatrix
    private let hidden: BlockedMatrix
    private let activatedHidden: BlockedMatrix
    private let embedding: BlockedMatrix
    private let activatedEmbedding: BlockedMatrix
    private let gradient: BlockedMatrix
    private let share: BlockedMatrix
    /// Each modulation's numbers, then the gradients with respect to them.
    private let projected: [BlockedMatrix]
    private let rows: AlignedBuffer
    private let gradientRows: AlignedBuffer
    private let width: Int
    /// For image n, all modulations one after another.
    let modulations: UnsafeMutablePointer<UnsafePointer<Float>>
    /// Where the gradients with respect to them go.
    let modulationGradients: UnsafeMutablePointer<UnsafeMutablePointer<Float>>

    /// Allocates for `capacity` images; modulations are in the order of their offsets.
    init(_ timeEmbedding: TimeEmbedding, modulations list: [NetworkOperation.Modulation], capacity: Int) {
        self.timeEmbedding = timeEmbedding
        let (channels, embeddingWidth) = (timeEmbedding.channels, timeEmbedding.width)
        first = TrainableLinear(timeEmbedding.firstKey, inputs: channels, outputs: embeddingWidth)
        second = TrainableLinear(timeEmbedding.secondKey, inputs: embeddingWidth, outputs: embeddingWidth)
        projections = list.map { TrainableLinear($0.key, inputs: $0.embeddingWidth, outputs: $0.width) }
        func matrix(_ columns: Int) -> BlockedMatrix { BlockedMatrix(rows: capacity, columns: columns) }
        sinusoids = matrix(channels)
        hidden = matrix(embeddingWidth)
        activatedHidden = matrix(embeddingWidth)
        embedding = matrix(embeddingWidth)
        activatedEmbedding = matrix(embeddingWidth)
        gradient = matrix(embeddingWidth)
        share = matrix(embeddingWidth)
        projected = list.map { matrix($0.width) }
        width = list.reduce(0) { $0 + $1.width }
        rows = AlignedBuffer(count: capacity * width)
        gradientRows = AlignedBuffer(count: capacity * width)
        modulations = .allocate(capacity: capacity)
        modulationGradients = .allocate(capacity: capacity)
        for n in 0..<capacity {
            (modulations + n).initialize(to: UnsafePointer(rows.pointer + n * width))
            (modulationGradients + n).initialize(to: gradientRows.pointer + n * width)
        }
    }

    deinit {
        modulations.deallocate()
        modulationGradients.deallocate()
    }

    func forward(_ times: ArraySlice<Float>, on workspace: Workspace) {
        let count = times.count
        let channels = timeEmbedding.channels
        for (n, time) in times.enumerated() {
            sinusoids.setRow(n, from: timeEmbedding.sinusoids.values(of: time, count: channels))
        }
        first.layer.forward(sinusoids, into: hidden, rows: count, on: workspace)
        activatedHidden.combine(with: hidden, rows: count) { silu($1) }
        second.layer.forward(activatedHidden, into: embedding, rows: count, on: workspace)
        activatedEmbedding.combine(with: embedding, rows: count) { silu($1) }
        var offset = 0
        for (projection, matrix) in zip(projections, projected) {
            projection.layer.forward(activatedEmbedding, into: matrix, rows: count, on: workspace)
            for n in 0..<count { matrix.copyRow(n, into: rows.pointer + n * width + offset) }
            offset += matrix.columns
        }
    }

    /// Sets the gradients with respect to modulations to zero: operations that don't run write none.
    func clearModulationGradients() { gradientRows.pointer.update(repeating: 0, count: gradientRows.count) }

    func backward(batch count: Int, on workspace: Workspace) {
        var offset = 0
        gradient.combine(with: share, rows: count) { _, _ in 0 }
        for (projection, matrix) in zip(projections, projected) {
            for n in 0..<count { matrix.setRow(n, from: gradientRows.pointer + n * width + offset) }
            projection.gradient.accumulate(activatedEmbedding, yGradient: matrix, rows: count, on: workspace)
            projection.gradient.inputGradient(matrix, into: share, rows: count, on: workspace)
            gradient.combine(with: share, rows: count) { $0 + $1 }
            offset += matrix.columns
        }
        gradient.combine(with: embedding, rows: count) { $0 * siluDerivative($1) }
        second.gradient.accumulate(activatedHidden, yGradient: gradient, rows: count, on: workspace)
        second.gradient.inputGradient(gradient, into: share, rows: count, on: workspace)
        share.combine(with: hidden, rows: count) { $0 * siluDerivative($1) }
        first.gradient.accumulate(sinusoids, yGradient: share, rows: count, on: workspace)
    }

    private var parts: [TrainableLinear] { [first, second] + projections }

    func takeValues(from store: ParameterStore) {
        for part in parts { part.takeValues(from: store) }
    }

    func giveGradients(to store: ParameterStore) {
        for part in parts { part.giveGradients(to: store) }
    }
}

private func silu(_ x: Float) -> Float { x / (1 + exp(-x)) }

private func siluDerivative(_ x: Float) -> Float {
    let s = 1 / (1 + exp(-x))
    return s * (1 + x * (1 - s))
}
