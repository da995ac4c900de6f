import Layers
import Networks
import Tensor

/// The gradients with respect to a program's buffers during one way back.
///
/// A buffer that several operations read gets a contribution from each: the first is written, the next are added. The
/// contribution of a sum to one of its terms is the gradient with respect to the sum itself, so it isn't copied: it is remembered
/// as `shared`, and the next contribution takes it as its addend.
final class GradientBuffers {
    /// Where an operation's contribution to the gradient with respect to its input goes.
    struct Contribution {
        let target: FeatureMap
        /// What is to be added to it: earlier contributions, in `target` itself or in another buffer's map; nil for none.
        let addend: FeatureMap?
        /// Whether the addend is `target` itself.
        let addsToTarget: Bool
        /// A map like `target` for a gradient that isn't finished, if the addend may be the target.
        let unfinished: FeatureMap?
        /// A map between a convolution and its change of resolution.
        let resampled: FeatureMap?
    }

    private enum State: Equatable {
        case none
        case written
        /// Equal to the gradient with respect to another buffer.
        case shared(NetworkProgram.BufferIndex)
    }

    private let program: NetworkProgram
    private let arena: Arena
    /// Of the program's buffers.
    private let maps: [FeatureMap]
    private let temporaries: [(unfinished: FeatureMap?, resampled: FeatureMap?)]
    /// Of each buffer the ranges of channels that gradients are tracked by: its own, or itself.
    private let parts: [[NetworkProgram.BufferIndex]]
    private var states: [State]
    private var batch = 0
    private let pool: WorkerPool

    init(_ program: NetworkProgram, capacity: Int, pool: WorkerPool) {
        self.program = program
        self.pool = pool
        let lifetimes = program.gradientLifetimes
        var layout = program.owners.map { program.map($0, lifetime: lifetimes[$0] ?? 0...0) }
        let indices = program.operations.enumerated().map { index, operation in
            func add(_ channels: Int, _ side: Int) -> Int {
                let step = program.backwardStep(of: index)
                layout.append(ArenaLayout.Map(channels: channels, side: side, lifetime: step...step))
                return layout.count - 1
            }
            return (
                unfinished: program.mayAddToInputGradient(index)
                    ? add(operation.shape.inputs, operation.shape.inputSide) : nil,
                resampled: operation.shape.gradientTemporary.map { add($0.channels, $0.side) }
            )
        }
        let arena = Arena(ArenaLayout(layout), capacity: capacity)
        self.arena = arena
        maps = program.maps(ofOwners: arena.maps)
        temporaries = indices.map { ($0.unfinished.map { arena.maps[$0] }, $0.resampled.map { arena.maps[$0] }) }
        parts = program.buffers.indices.map { buffer in
            let ranges = program.ranges(of: buffer)
            return ranges.isEmpty ? [buffer] : ranges
        }
        states = program.buffers.map { _ in .none }
    }

    var byteCount: Int { arena.byteCount }

    /// Forgets all gradients and starts with the one by `buffer`, whose map the caller fills.
    func start(at buffer: NetworkProgram.BufferIndex, batch: Int) -> FeatureMap {
        self.batch = batch
        for index in states.indices { states[index] = .none }
        return writtenMap(of: buffer)
    }

    /// The gradient with respect to a buffer; nil if nothing that is differentiated depends on it.
    func gradient(by buffer: NetworkProgram.BufferIndex) -> FeatureMap? {
        if case .shared(let other) = states[buffer] { return maps[other] }
        guard isReached(buffer) else { return nil }
        complete(buffer)
        return maps[buffer]
    }

    /// Where the contribution of operation `index` to the gradient with respect to its input goes.
    func contribution(toInputOf index: Int) -> Contribution {
        let buffer = program.operations[index].input
        var addend: FeatureMap?
        var addsToTarget = false
        if case .shared(let other) = states[buffer] {
            addend = maps[other]
        } else if isReached(buffer) {
            complete(buffer)
            (addend, addsToTarget) = (maps[buffer], true)
        }
        return Contribution(
            target: writtenMap(of: buffer), addend: addend, addsToTarget: addsToTarget,
            unfinished: temporaries[index].unfinished, resampled: temporaries[index].resampled)
    }

    /// Takes the gradient with respect to a sum to one of its terms.
    func pass(from sum: NetworkProgram.BufferIndex, to term: NetworkProgram.BufferIndex) {
        guard let gradient = gradient(by: sum) else { return }
        guard isReached(term) || parts[term] != [term] else {
            if case .shared = states[sum] { states[term] = states[sum] } else { states[term] = .shared(sum) }
            return
        }
        complete(term)
        maps[term].add(gradient, batch: batch, pool: pool)
    }

    private func isReached(_ buffer: NetworkProgram.BufferIndex) -> Bool {
        parts[buffer].contains { states[$0] != .none }
    }

    /// Writes the parts that aren't written: those that nothing contributed to are zero.
    private func complete(_ buffer: NetworkProgram.BufferIndex) {
        for part in parts[buffer] {
            switch states[part] {
            case .none: maps[part].clear(batch: batch)
            case .shared(let other): maps[part].copy(maps[other], batch: batch)
            case .written: continue
            }
            states[part] = .written
        }
    }

    private func writtenMap(of buffer: NetworkProgram.BufferIndex) -> FeatureMap {
        for part in parts[buffer] { states[part] = .written }
        return maps[buffer]
    }
}

extension NetworkProgram {
    /// The step of an operation on the way back.
    fileprivate func backwardStep(of index: Int) -> Int { operations.count - 1 - index }

    /// When the gradients with respect to the buffers with memory of their own are needed on the way back, from wherever it
    /// starts: those that a term may share, until its next contribution.
    fileprivate var gradientLifetimes: BufferLifetimes {
        var lifetimes = BufferLifetimes(of: self)
        lifetimes.use(output, at: -1)
        for place in places {
            lifetimes.use(buffer(at: place), at: backwardStep(of: operationCount(through: place) - 1))
        }
        var sums: [BufferIndex: Set<BufferIndex>] = [:]
        for (index, operation) in operations.enumerated().reversed() {
            let step = backwardStep(of: index)
            for buffer in operation.buffers {
                lifetimes.use(buffer, at: step)
                for (term, shared) in sums where owner(of: term) == owner(of: buffer) {
                    for sum in shared { lifetimes.use(sum, at: step) }
                }
            }
            if let residual = operation.residual, residual != operation.output {
                let shared = sums[operation.output] ?? []
                sums[residual, default: []].formUnion(shared.union([operation.output]))
            }
            sums[operation.input] = nil
        }
        return lifetimes
    }

    /// Whether, when an operation with a transform contributes to the gradient with respect to its input, contributions may be
    /// there already.
    fileprivate func mayAddToInputGradient(_ index: Int) -> Bool {
        guard operations[index].transform != nil else { return false }
        let input = owner(of: operations[index].input)
        return operations[(index + 1)...].contains { later in
            owner(of: later.input) == input || later.residual.map { owner(of: $0) } == input
        }
    }
}
