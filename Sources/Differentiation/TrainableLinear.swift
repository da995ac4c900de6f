import Layers

/// A fully connected layer with the name of its parameters.
struct TrainableLinear {
    let key: String
    let gradient: LinearGradient
    var layer: Linear { gradient.layer }

    init(_ key: String, inputs: Int, outputs: Int, hasBias: Bool = true) {
        self.key = key
        gradient = LinearGradient(inputs: inputs, outputs: outputs, hasBias: hasBias)
    }

    func takeValues(from store: ParameterStore) {
        gradient.repack(weight: store.value(key + ".weight"), bias: layer.hasBias ? store.value(key + ".bias") : nil)
    }

    /// Adds the gradients that have come together to the store's, and resets them.
    func giveGradients(to store: ParameterStore) {
        gradient.addGradients(
            weight: store.gradient(key + ".weight"), bias: layer.hasBias ? store.gradient(key + ".bias") : nil)
    }
}
