import AllocationCounter
import FlowModel
import Tensor
import Testing

@testable import ReverseODE

@Test(
    "A step after the first allocates nothing",
    .enabled(if: allocation_counter_is_available(), "allocations can't be counted here"),
    arguments: [Solver.euler, .rk4, .ab2])
func stepsDoNotAllocate(solver: Solver) throws {
    let golden = try GoldenModel("icfm32", solver: solver)
    let integrator = golden.integrator(capacity: 2)
    let tap = try golden.model.resolve(Tap(time: .end, place: .state))
    var trajectories = try (0..<2).map {
        integrator.trajectory(input: try golden.input($0), taps: [tap], wantsLogits: false)
    }
    let all = [0, 1]
    integrator.step(&trajectories, at: all)
    for _ in 0..<5 {
        // The calling thread is a worker like the others and announces their sections.
        allocation_counter_start()
        integrator.step(&trajectories, at: all)
        #expect(allocation_counter_stop() == 0)
    }
}
