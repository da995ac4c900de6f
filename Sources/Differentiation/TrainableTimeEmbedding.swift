import FlowModel
import Layers
import Tensor

#if canImport(Glibc)
    import Glibc
#endif

/// From times to every residual block's scale and shift, in both directions: sinusoids, Linear, SiLU, Linear, SiLU, and a
/// Linear for each block, each image at its own time.
final class TrainableTimeEmbedding: Trainable {
    private let channels: Int
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
    /// Each block's scale and shift, and the gradients by them.
    private let films: [BlockedMatrix]
    private let rows: AlignedBuffer
    private let gradientRows: AlignedBuffer
    private let width: Int
    /// For image n, every block's scale and shift one after another.
    let film: UnsafeMutablePointer<UnsafePointer<Float>>
    /// Where the gradients by them go.
    let filmGradient: UnsafeMutablePointer<UnsafeMutablePointer<Float>>

    /// `blocks` are the residual blocks' keys and channels, in the order in which their films follow each other.
    init(channels: Int, width embeddingWidth: Int, blocks: [(key: String, channels: Int)], capacity: Int) {
        self.channels = channels
        first = TrainableLinear("time_embed.0", inputs: channels, outputs: embeddingWidth)
        second = TrainableLinear("time_embed.2", inputs: embeddingWidth, outputs: embeddingWidth)
        projections = blocks.map {
            TrainableLinear($0.key + ".emb_layers.1", inputs: embeddingWidth, outputs: 2 * $0.channels)
        }
        func matrix(_ columns: Int) -> BlockedMatrix { BlockedMatrix(rows: capacity, columns: columns) }
        sinusoids = matrix(channels)
        hidden = matrix(embeddingWidth)
        activatedHidden = matrix(embeddingWidth)
        embedding = matrix(embeddingWidth)
        activatedEmbedding = matrix(embeddingWidth)
        gradient = matrix(embeddingWidth)
        share = matrix(embeddingWidth)
        films = blocks.map { matrix(2 * $0.channels) }
        width = blocks.reduce(0) { $0 + 2 * $1.channels }
        rows = AlignedBuffer(count: capacity * width)
        gradientRows = AlignedBuffer(count: capacity * width)
        film = .allocate(capacity: capacity)
        filmGradient = .allocate(capacity: capacity)
        for n in 0..<capacity {
            (film + n).initialize(to: UnsafePointer(rows.pointer + n * width))
            (filmGradient + n).initialize(to: gradientRows.pointer + n * width)
        }
    }

    deinit {
        film.deallocate()
        filmGradient.deallocate()
    }

    func forward(_ times: ArraySlice<Float>, on workspace: Workspace) {
        let count = times.count
        for (n, time) in times.enumerated() {
            for (i, value) in TimeEmbedding.sinusoid(time, channels: channels).enumerated() { sinusoids[n, i] = value }
        }
        first.layer.forward(sinusoids, into: hidden, rows: count, on: workspace)
        activatedHidden.combine(with: hidden, rows: count) { silu($1) }
        second.layer.forward(activatedHidden, into: embedding, rows: count, on: workspace)
        activatedEmbedding.combine(with: embedding, rows: count) { silu($1) }
        var offset = 0
        for (projection, matrix) in zip(projections, films) {
            projection.layer.forward(activatedEmbedding, into: matrix, rows: count, on: workspace)
            for n in 0..<count {
                for i in 0..<matrix.columns { rows.pointer[n * width + offset + i] = matrix[n, i] }
            }
            offset += matrix.columns
        }
    }

    /// Forgets the gradients by scales and shifts: what blocks that don't run would have written must be zero.
    func clearFilmGradients() { gradientRows.pointer.update(repeating: 0, count: gradientRows.count) }

    func backward(batch count: Int, on workspace: Workspace) {
        var offset = 0
        gradient.combine(with: share, rows: count) { _, _ in 0 }
        for (projection, matrix) in zip(projections, films) {
            for n in 0..<count {
                for i in 0..<matrix.columns { matrix[n, i] = gradientRows.pointer[n * width + offset + i] }
            }
            projection.layer.accumulate(activatedEmbedding, yGradient: matrix, rows: count, on: workspace)
            projection.layer.inputGradient(matrix, into: share, rows: count, on: workspace)
            gradient.combine(with: share, rows: count) { $0 + $1 }
            offset += matrix.columns
        }
        gradient.combine(with: embedding, rows: count) { $0 * siluDerivative($1) }
        second.layer.accumulate(activatedHidden, yGradient: gradient, rows: count, on: workspace)
        second.layer.inputGradient(gradient, into: share, rows: count, on: workspace)
        share.combine(with: hidden, rows: count) { $0 * siluDerivative($1) }
        first.layer.accumulate(sinusoids, yGradient: share, rows: count, on: workspace)
    }

    private var parts: [TrainableLinear] { [first, second] + projections }

    func takeValues(from store: ParameterStore, pool: WorkerPool) {
        for part in parts { part.takeValues(from: store, pool: pool) }
    }

    func giveGradients(to store: ParameterStore, pool: WorkerPool) {
        for part in parts { part.giveGradients(to: store, pool: pool) }
    }

    var scratchFloats: Int { 0 }
}

private func silu(_ x: Float) -> Float { x / (1 + exp(-x)) }

private func siluDerivative(_ x: Float) -> Float {
    let s = 1 / (1 + exp(-x))
    return s * (1 + x * (1 - s))
}
