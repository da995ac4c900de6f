import FlowModel
import Networks
import ReverseODE
import Tensor
import Testing

@Suite("A head that reads activations")
struct PlacedHeadTests {
    private let pool = WorkerPool(count: 2)

    private func trajectory(
        _ model: ReversibleModel, _ taps: [Tap], wantsLogits: Bool, among others: Int = 0
    ) throws -> Trajectory {
        let integrator = ReverseIntegrator(model: model, capacity: 1 + others, kernels: .best, pool: pool)
        let resolved = try taps.map { try model.resolve($0) }
        var trajectories = [
            integrator.trajectory(input: TinyModel.input(1), taps: resolved, wantsLogits: wantsLogits)
        ]
        for n in 0..<others {
            trajectories.append(
                integrator.trajectory(input: TinyModel.input(UInt64(2 + n)), taps: [], wantsLogits: true))
        }
        integrator.run(&trajectories)
        #expect(trajectories.allSatisfy { $0.isFinished && $0.isFinite })
        return trajectories[0]
    }

    @Test(
        "classifies what the tap at its place reads at the end of the pass, with one evaluation more",
        arguments: [
            ActivationMeans(.middle), ActivationMeans(.down(1)), ActivationMeans(.up(0)), ActivationMeans(.up(3)),
            ActivationMeans(.up(0), divisions: 2),
        ])
    func classifies(place: ActivationMeans) throws {
        let model = try TinyModel.make(headPlace: place, pool: pool).model
        let head = try #require(model.head)
        let means = try trajectory(
            model, [Tap(time: .end, place: .activation(place))], wantsLogits: false
        ).features[0]
        let classified = try trajectory(model, [Tap(time: .end, place: .head)], wantsLogits: true, among: 2)
        let activations = head.activations(means, kernels: .best)
        #expect(classified.features[0] == activations)
        #expect(classified.logits == head.logits(activations: activations, kernels: .best))
        #expect(classified.evaluations == model.evaluationsPerPass + 1)
    }

    @Test("reads what it reads alone, with taps of every kind in the same pass")
    func mixed() throws {
        let cells = ActivationMeans(.up(0), divisions: 2)
        let model = try TinyModel.make(headPlace: cells, pool: pool).model
        let places: [TapPlace] = [
            .activation(ActivationMeans(.up(3))), .head, .activation(cells), .state,
            .activation(ActivationMeans(.up(0))),
            .activation(cells), .pooled,
        ]
        let taps = places.map { Tap(time: .end, place: $0) }
        let together = try trajectory(model, taps, wantsLogits: true, among: 3)
        for (tap, read) in zip(taps, together.features) {
            #expect(try trajectory(model, [tap], wantsLogits: false).features[0] == read, "\(tap.place)")
        }
        #expect(try trajectory(model, [], wantsLogits: true).logits == together.logits)
    }

    @Test("Numbers too small for their exponents are the same in every batch", arguments: ["down.0", "down.0:4x4"])
    func denormal(place: String) throws {
        // What the first layer writes is about 1e-38, and means of it are less.
        let model = try TinyModel.make(gain: 2e-38, pool: pool).model
        let tap = try model.resolve(Tap(time: .at(1), place: TapPlace(parsing: place)))
        func read(batch: Int) -> [UInt32] {
            let integrator = ReverseIntegrator(model: model, capacity: batch, kernels: .best, pool: pool)
            var passes = (0..<batch).map { _ in
                integrator.trajectory(input: TinyModel.input(1), taps: [tap], wantsLogits: false)
            }
            integrator.run(&passes)
            return passes[0].features[0].map(\.bitPattern)
        }
        let alone = read(batch: 1)
        #expect(alone.contains { $0 & 0x7FFF_FFFF != 0 } && alone.contains { $0 & 0x7FFF_FFFF == 0 })
        #expect(read(batch: 8) == alone)
    }

    @Test("costs an embedding of the state nothing")
    func stateOnly() throws {
        let model = try TinyModel.make(headPlace: ActivationMeans(.middle), pool: pool).model
        let embedded = try trajectory(model, [Tap(time: .end, place: .pooled)], wantsLogits: false)
        #expect(embedded.evaluations == model.evaluationsPerPass)
    }

    @Test("classifies on the way back and forth too")
    func roundTrip() throws {
        let model = try TinyModel.make(headPlace: ActivationMeans(.up(0)), pool: pool).model
        let alone = try trajectory(model, [], wantsLogits: true)
        let back = try trajectory(model, [Tap(time: .at(1), place: .state, direction: .downstream)], wantsLogits: true)
        #expect(alone.logits != nil && alone.logits == back.logits)
        #expect(back.evaluations == 2 * model.evaluationsPerPass)
    }
}
