public import Differentiation
import FlowModel

/// The random weights that training starts from: as PyTorch's layers have them by default, uniform within 1/√(inputs), but
/// for the convolutions that the reference begins at zero, so that every block begins as the identity and the velocity as
/// nothing. Normalisations begin as the identity.
public enum WeightInitialization {
    /// Weights that begin at zero: the last of each residual block, of attention and of the network.
    static func startsAtZero(_ key: String) -> Bool {
        ["out_layers.3", "proj_out"].contains { key.contains(".\($0).") } || key.hasPrefix("out.2.")
    }

    /// Writes the values of those of the store's parameters that `isWanted` accepts. A parameter's numbers follow from the
    /// seed and its place in the store.
    public static func initialize(
        _ store: ParameterStore, seed: UInt64, where isWanted: (String) -> Bool = { _ in true }
    ) {
        var weightShape: [Int] = []
        for (index, parameter) in store.shapes.enumerated() {
            let isWeight = parameter.key.hasSuffix(".weight")
            // A bias follows its weight, on whose inputs its range depends.
            if isWeight { weightShape = parameter.shape }
            guard isWanted(parameter.key) else { continue }
            let values = store.value(parameter.key)
            if weightShape.count == 1 {
                values.update(repeating: isWeight ? 1 : 0, count: parameter.count)
            } else if startsAtZero(parameter.key) {
                values.update(repeating: 0, count: parameter.count)
            } else {
                let bound = 1 / Float(weightShape.dropFirst().reduce(1, *)).squareRoot()
                let random = CounterGenerator(seed: seed, purpose: .weights, step: index)
                for i in 0..<parameter.count { values[i] = bound * (2 * random.uniform(i) - 1) }
            }
        }
    }
}
