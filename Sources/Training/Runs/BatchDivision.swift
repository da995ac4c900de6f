import CKernels
import Differentiation
import Tensor

/// Into which contiguous parts each batch is divided, and which of them this process computes.
///
/// The parts' gradients are added up in the parts' order, and how a part is computed doesn't depend on workers
/// (`GradientSums.independentOfWorkers`). The bits of a run therefore depend on the number of parts, and neither on that of
/// processes nor on that of workers.
package struct BatchDivision: Sendable {
    package let parts: Int
    /// The processes among which the parts are divided; nil for one.
    package let ranks: Ranks?

    /// - Parameter parts: a multiple of the number of ranks.
    package init(parts: Int, ranks: Ranks?) {
        precondition(parts > 0 && parts.isMultiple(of: ranks?.count ?? 1))
        self.parts = parts
        self.ranks = ranks
    }

    /// How many parts each process has.
    var partsOfRank: Int { parts / (ranks?.count ?? 1) }

    /// The images of this process's parts, in a batch of so many.
    func ownImages(ofBatch count: Int) -> [Range<Int>] {
        let first = (ranks?.own ?? 0) * partsOfRank
        return (first..<first + partsOfRank).map { WorkerPool.part($0, of: parts, total: count) }
    }
}

/// Computes the gradients of a batch part by part, and adds them up over all processes.
///
/// Each rank adds up a slice of the gradients and hands the sums to the others. `MPI_Allreduce` was rejected: it may add in any
/// order.
final class DividedGradient {
    private let division: BatchDivision
    private let store: ParameterStore
    /// [parts of this rank][store.count].
    private let own: AlignedBuffer
    private let sent: AlignedBuffer
    private let received: AlignedBuffer
    private let sums: AlignedBuffer
    /// Numbers that a rank adds up at a time; bounds the memory.
    private let slice: Int

    init(_ division: BatchDivision, store: ParameterStore) {
        self.division = division
        self.store = store
        own = AlignedBuffer(count: division.partsOfRank * store.count)
        let ranks = division.ranks?.count ?? 0
        slice = min(1 << 16, (store.count + max(ranks, 1) - 1) / max(ranks, 1))
        sent = AlignedBuffer(count: ranks > 0 ? division.parts * slice : 0)
        received = AlignedBuffer(count: ranks > 0 ? division.parts * slice : 0)
        sums = AlignedBuffer(count: ranks * slice)
    }

    /// As `Learner.differentiate(_:step:)`, over all processes.
    func differentiate(_ batch: Batch, by learner: any Learner, step: Int) -> BatchOutcome {
        var outcomes: [BatchOutcome] = []
        learner.differentiate(batch, parts: division.ownImages(ofBatch: batch.count), step: step) { outcome in
            (own.pointer + outcomes.count * store.count).update(from: store.gradients, count: store.count)
            outcomes.append(outcome)
        }
        if let ranks = division.ranks { addUp(over: ranks) } else { addUp() }
        return total(outcomes)
    }

    private func addUp() {
        store.gradients.update(from: own.pointer, count: store.count)
        for part in 1..<max(division.parts, 1) {
            hw_axpy(store.gradients, own.pointer + part * store.count, 1, store.count)
        }
    }

    private func addUp(over ranks: Ranks) {
        let parts = division.partsOfRank
        for start in stride(from: 0, to: store.count, by: ranks.count * slice) {
            /// What rank `rank` adds up.
            func range(_ rank: Int) -> Range<Int> {
                (start + rank * slice..<start + (rank + 1) * slice).clamped(to: start..<max(start, store.count))
            }
            for rank in 0..<ranks.count {
                for part in 0..<parts {
                    (sent.pointer + (rank * parts + part) * slice).update(
                        from: own.pointer + part * store.count + range(rank).lowerBound, count: range(rank).count)
                }
            }
            ranks.exchange(sent.pointer, into: received.pointer, pieceCount: parts * slice)
            for part in 1..<division.parts { hw_axpy(received.pointer, received.pointer + part * slice, 1, slice) }
            ranks.gather(received.pointer, into: sums.pointer, pieceCount: slice)
            for rank in 0..<ranks.count {
                (store.gradients + range(rank).lowerBound).update(
                    from: sums.pointer + rank * slice, count: range(rank).count)
            }
        }
    }

    /// The parts' shares together, added up in the parts' order.
    private func total(_ outcomes: [BatchOutcome]) -> BatchOutcome {
        func sum(_ values: [Double]) -> Double { (division.ranks?.gather(values) ?? values).reduce(0, +) }
        let first = outcomes[0]
        return BatchOutcome(
            loss: sum(outcomes.map(\.loss)),
            correct: first.correct == nil ? nil : Int(sum(outcomes.map { Double($0.correct ?? 0) })),
            flowLoss: first.flowLoss == nil ? nil : sum(outcomes.map { $0.flowLoss ?? 0 }))
    }
}
