import Differentiation
import Networks
import Testing

/// Keeps the promise that an optimizer can be told some parameters by their keys.
@Suite("A store of parameters")
struct ParameterStoreTests {
    @Test(
        "tells where parameters lie, neighbours as one range",
        arguments: [("abcd", [0..<10]), ("abd", [0..<5, 9..<10]), ("c", [5..<9]), ("", [])] as [(String, [Range<Int>])])
    func ranges(wanted: String, expected: [Range<Int>]) {
        let shapes = [("a", [2]), ("b", [3]), ("c", [2, 2]), ("d", [1])]
        let store = ParameterStore(shapes: shapes.map { ParameterShape(key: $0.0, shape: $0.1) })
        #expect(store.ranges { wanted.contains($0) } == expected)
        for key in wanted.map(String.init) {
            let place = store.value(key) - store.values
            #expect(expected.contains { $0.contains(place) })
        }
    }
}
