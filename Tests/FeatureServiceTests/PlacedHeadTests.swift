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
        arguments: [ActivationMeans.middle, .down(1), .up(0), .up(3), ActivationMeans(.up(0), divisions: 2)])
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

    @Test("costs an embedding of the state nothing")
    func stateOnly() throws {
        let model = try TinyModel.make(headPlace: .middle, pool: pool).model
        let embedded = try trajectory(model, [Tap(time: .end, place: .pooled)], wantsLogits: false)
        #expect(embedded.evaluations == model.evaluationsPerPass)
    }

    @Test("classifies on the way back and forth too")
    func roundTrip() throws {
        let model = try TinyModel.make(headPlace: .up(0), pool: pool).model
        let alone = try trajectory(model, [], wantsLogits: true)
        let back = try trajectory(model, [Tap(time: .at(1), place: .state, direction: .downstream)], wantsLogits: true)
        #expect(alone.logits != nil && alone.logits == back.logits)
        #expect(back.evaluations == 2 * model.evaluationsPerPass)
    }
}
