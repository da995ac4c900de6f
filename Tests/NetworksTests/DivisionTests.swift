import Testing

@testable import Networks

@Suite("Which batches are divided by images")
struct DivisionTests {
    private static let cached = 32 << 20

    @Test(
        "Evenly, and where no cache holds the weights, with four images a worker",
        arguments: [
            (batch: 2, workers: 2, bytes: cached, isDivided: true),
            (batch: 2, workers: 2, bytes: cached + 1, isDivided: false),
            (batch: 6, workers: 2, bytes: cached + 1, isDivided: false),
            (batch: 8, workers: 2, bytes: cached + 1, isDivided: true),
            (batch: 32, workers: 32, bytes: cached + 1, isDivided: false),
            (batch: 3, workers: 2, bytes: cached, isDivided: false),
            (batch: 1, workers: 2, bytes: cached, isDivided: false),
            (batch: 9, workers: 2, bytes: cached + 1, isDivided: false),
            (batch: 8, workers: 1, bytes: 0, isDivided: false),
        ])
    func rule(batch: Int, workers: Int, bytes: Int, isDivided: Bool) {
        #expect(
            VelocityField.isDividedByImages(batch: batch, workers: workers, weightBytes: bytes) == isDivided)
    }
}
