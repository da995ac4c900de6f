import Differentiation
import Networks
import Testing

@testable import Training

@Suite("The weights that training starts from")
struct WeightInitializationTests {
    @Test("Networks begin at zero velocity with weights of the right size")
    func initialization() throws {
        let program = try SmallRun.architecture.program()
        let store = ParameterStore(shapes: program.parameters)
        WeightInitialization.initialize(store, seed: 3)
        for shape in program.parameters {
            let values = (0..<shape.count).map { store.value(shape.key)[$0] }
            if shape.startsAtZero {
                #expect(values.allSatisfy { $0 == 0 }, "\(shape.key)")
            } else if shape.key.hasSuffix("in_layers.2.weight") {
                let bound = 1 / Float(shape.shape.dropFirst().reduce(1, *)).squareRoot()
                #expect(values.allSatisfy { abs($0) <= bound } && values.contains { abs($0) > 0.9 * bound })
            } else if shape.key.hasSuffix("in_layers.0.weight") {
                #expect(values.allSatisfy { $0 == 1 })
            }
        }
        #expect(program.parameters.count { $0.startsAtZero } == 2 * (1 + 2 + 2 + 1 + 1))
    }
}
