import Layers
import Networks

/// A fully connected layer with the name of its parameters.
struct TrainableLinear {
    let key: String
    let layer: LinearGradient
    let hasBias: Bool

    init(_ key: String, inputs: Int, outputs: Int, hasBias: Bool = true) {
        self.key = key
        self.hasBias = hasBias
        layer = LinearGradient(inputs: inputs, outputs: outputs, hasBias: hasBias)
    }

    /// Takes the store's values.
    func takeValues(from store: ParameterStore) {
        layer.repack(weight: store.value(key + ".weight"), bias: hasBias ? store.value(key + ".bias") : nil)
    }

    /// Adds the gradients that have come together to the store's, and resets them.
    func giveGradients(to store: ParameterStore) {
        layer.addGradients(
            weight: store.gradient(key + ".weight"), bias: hasBias ? store.gradient(key + ".bias") : nil)
    }
}
