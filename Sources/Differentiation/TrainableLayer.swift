import Layers
import Tensor

/// What every trainable part does between two batches.
protocol Trainable {
    /// Takes the store's values.
    func takeValues(from store: ParameterStore, pool: WorkerPool)
    /// Adds the gradients that have come together to the store's, and starts anew.
    func giveGradients(to store: ParameterStore, pool: WorkerPool)
    /// Floats of scratch that a worker needs.
    var scratchFloats: Int { get }
}

/// What a pass through the network borrows.
struct Pass {
    let batch: Int
    let workspace: Workspace
    /// For image n, every block's scale and shift at `film[n]`, and the gradients by them at `filmGradient[n]`.
    let film: UnsafePointer<UnsafePointer<Float>>
    let filmGradient: UnsafePointer<UnsafeMutablePointer<Float>>
    let memory: GradientMemory
}

/// A 3x3 convolution with the name of its parameters.
struct TrainableConvolution: Trainable {
    let key: String
    let gradient: ConvolutionGradient
    var layer: Convolution { gradient.layer }

    init(
        _ key: String, inputs: Int, outputs: Int, side: Int, resampling: Convolution.Resampling = .none,
        pool: WorkerPool
    ) {
        self.key = key
        gradient = ConvolutionGradient(
            Convolution(
                weight: [Float](repeating: 0, count: 9 * inputs * outputs),
                bias: [Float](repeating: 0, count: outputs), inputs: inputs, outputs: outputs, side: side,
                resampling: resampling, pool: pool), pool: pool)
    }

    func takeValues(from store: ParameterStore, pool: WorkerPool) {
        gradient.repack(weight: store.value(key + ".weight"), bias: store.value(key + ".bias"), pool: pool)
    }

    func giveGradients(to store: ParameterStore, pool: WorkerPool) {
        gradient.addGradients(
            weight: store.gradient(key + ".weight"), bias: store.gradient(key + ".bias"), pool: pool)
    }

    var scratchFloats: Int { max(layer.scratchFloats, gradient.scratchFloats) }
}

/// A GroupNorm and what follows it inside a convolution's reading, with the name of its parameters.
struct TrainableNorm: Trainable {
    let key: String
    let norm: GroupNorm
    let gradient: NormalizationGradient
    let isActivated: Bool

    init(_ key: String, channels: Int, isActivated: Bool, capacity: Int) {
        self.key = key
        self.isActivated = isActivated
        norm = GroupNorm(
            weight: [Float](repeating: 1, count: channels), bias: [Float](repeating: 0, count: channels))
        gradient = NormalizationGradient(norm, isActivated: isActivated, capacity: capacity)
    }

    func reading(_ film: Normalization.Film? = nil) -> Normalization {
        Normalization(norm, film: film, isActivated: isActivated)
    }

    func takeValues(from store: ParameterStore, pool: WorkerPool) {
        norm.update(weight: store.value(key + ".weight"), bias: store.value(key + ".bias"))
    }

    func giveGradients(to store: ParameterStore, pool: WorkerPool) {
        gradient.addGradients(weight: store.gradient(key + ".weight"), bias: store.gradient(key + ".bias"))
    }

    var scratchFloats: Int { 0 }
}

/// A fully connected layer with the name of its parameters.
struct TrainableLinear: Trainable {
    let key: String
    let layer: LinearGradient
    let hasBias: Bool

    init(_ key: String, inputs: Int, outputs: Int, hasBias: Bool = true) {
        self.key = key
        self.hasBias = hasBias
        layer = LinearGradient(inputs: inputs, outputs: outputs, hasBias: hasBias)
    }

    func takeValues(from store: ParameterStore, pool: WorkerPool) {
        layer.repack(weight: store.value(key + ".weight"), bias: hasBias ? store.value(key + ".bias") : nil)
    }

    func giveGradients(to store: ParameterStore, pool: WorkerPool) {
        layer.addGradients(
            weight: store.gradient(key + ".weight"), bias: hasBias ? store.gradient(key + ".bias") : nil)
    }

    var scratchFloats: Int { 0 }
}
