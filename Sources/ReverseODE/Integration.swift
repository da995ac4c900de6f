import CKernels
import FlowModel

/// A state on its way along an ODE by an explicit method, one velocity at a time. It knows neither the grid nor the network. A
/// value; its buffers are allocated once and changed in place.
struct Integration: Sendable {
    /// The state that the last complete step led to.
    private(set) var state: [Float]
    /// The stage of the step under way that the next velocity is for.
    private(set) var stage = 0

    private let solver: Solver
    private let stages: [SolverStage]
    private var stageInput: [Float] = []
    private var velocity: [Float]
    private var increment: [Float] = []
    private var previousVelocity: [Float] = []
    private var previousStep: Float = 0

    init(from state: [Float], by solver: Solver) {
        self.state = state
        self.solver = solver
        stages = solver.stages
        velocity = [Float](repeating: 0, count: state.count)
        if stages.count > 1 {
            stageInput = state
            increment = velocity
        }
        if solver == .ab2 { previousVelocity = velocity }
    }

    /// Where the next velocity is wanted: the state, or what the current stage makes of it.
    var input: [Float] { stage == 0 ? state : stageInput }

    /// Takes the network's output for its last input and moves on by one stage.
    ///
    /// - Parameters:
    ///   - evaluation: what makes the output a velocity.
    ///   - step: the length of the step under way, the same at each of its stages; negative towards earlier times.
    ///   - isFirstInDirection: whether this is the first step in its direction, so a two-step formula has no earlier velocity.
    ///   - writeOutput: writes the network's output, as many numbers as the state has.
    /// - Returns: whether the step is complete.
    mutating func advance(
        by step: Float, _ evaluation: Evaluation, isFirstInDirection: Bool,
        _ writeOutput: (UnsafeMutablePointer<Float>) -> Void
    ) -> Bool {
        velocity.withUnsafeMutableBufferPointer { writeOutput($0.baseAddress!) }
        if !evaluation.isVelocity { makeVelocity(evaluation) }
        if stages.count == 1 {
            advanceSingleStage(by: step, isFirstInDirection: isFirstInDirection)
            return true
        }
        return advanceStage(by: step)
    }

    private mutating func makeVelocity(_ evaluation: Evaluation) {
        velocity.withUnsafeMutableBufferPointer { velocity in
            (stage == 0 ? state : stageInput).withUnsafeBufferPointer {
                hw_axpby(velocity.baseAddress, $0.baseAddress, evaluation.a, evaluation.b, velocity.count)
            }
        }
    }

    private mutating func advanceSingleStage(by step: Float, isFirstInDirection: Bool) {
        // Rounded timesteps may repeat a point. A step of no length leaves no slope to extrapolate.
        guard solver == .ab2, !isFirstInDirection, previousStep != 0 else {
            add(velocity, times: step, to: &state)
            if solver == .ab2 { rememberVelocity(step) }
            return
        }
        let half = step / previousStep / 2
        add(velocity, times: step * (1 + half), to: &state)
        add(previousVelocity, times: -step * half, to: &state)
        rememberVelocity(step)
    }

    private mutating func rememberVelocity(_ step: Float) {
        swap(&velocity, &previousVelocity)
        previousStep = step
    }

    /// Returns whether the step is complete.
    private mutating func advanceStage(by step: Float) -> Bool {
        if stage == 0 { increment.withUnsafeMutableBufferPointer { $0.update(repeating: 0) } }
        add(velocity, times: stages[stage].weight, to: &increment)
        stage += 1
        guard stage < stages.count else {
            add(increment, times: step, to: &state)
            stage = 0
            return true
        }
        stageInput.withUnsafeMutableBufferPointer { target in
            state.withUnsafeBufferPointer { target.baseAddress!.update(from: $0.baseAddress!, count: $0.count) }
        }
        add(velocity, times: step * stages[stage].previous, to: &stageInput)
        return false
    }

    private func add(_ x: [Float], times factor: Float, to y: inout [Float]) {
        y.withUnsafeMutableBufferPointer { y in
            x.withUnsafeBufferPointer { hw_axpy(y.baseAddress, $0.baseAddress, factor, $0.count) }
        }
    }
}
