import Differentiation
import FlowModel
import Tensor

/// The random weights that training starts from: as PyTorch's layers have them by default, uniform within 1/√(inputs), but
/// for the parameters that the network says start at zero. Normalisations begin as the identity.
package enum WeightInitialization {
    /// Writes the values of those of the store's parameters that `isWanted` accepts. A parameter's numbers follow from the
    /// seed and its place in the store.
    package static func initialize(
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
            } else if parameter.startsAtZero {
                values.update(repeating: 0, count: parameter.count)
            } else {
                let bound = 1 / Float(weightShape.dropFirst().reduce(1, *)).squareRoot()
                let random = CounterGenerator(seed: seed, purpose: .weights, step: index)
                for i in 0..<parameter.count { values[i] = bound * (2 * random.uniform(i) - 1) }
            }
        }
    }
}
