private import Synchronization

package enum DamagePolicy: Sendable, Equatable {
    /// It ends the work.
    case fail
    /// It is left out, as long as no more than that share of the images, 0 to 1, are damaged. One damaged image is always allowed,
    /// unless the share is 0.
    case skip(share: Double)

    package func allowance(of count: Int) -> Int {
        switch self {
        case .fail, .skip(share: 0): 0
        case .skip(let share): max(1, Int(share * Double(count)))
        }
    }
}

/// The damaged images of a data set that were found so far, by any thread, each counted once.
///
/// Whether an image is damaged follows from its bytes alone. So a resumed run leaves out the same images, though it counts them
/// again.
package final class DamagedImages: Sendable {
    private struct State {
        var found: [Int: DataSetError] = [:]
        var order: [Int] = []
        var told = 0
    }

    private let policy: DamagePolicy
    private let total: Int
    private let dataSet: String
    private let state = Mutex(State())

    /// Begins with no damaged image out of `total` in the data set at `dataSet`, a path for messages.
    package init(of total: Int, in dataSet: String, _ policy: DamagePolicy) {
        self.policy = policy
        self.total = total
        self.dataSet = dataSet
    }

    package var count: Int { state.withLock { $0.order.count } }

    package func contains(_ index: Int) -> Bool { state.withLock { $0.found[index] != nil } }

    /// Records that an image is damaged.
    ///
    /// - Parameters:
    ///   - index: the image's index, the same at every call for it.
    ///   - error: what is wrong with it, its path included.
    /// - Throws: `error` if damage is not tolerated; a `DataSetError` naming the first few images if too many are damaged
    ///   or none is left.
    package func add(_ index: Int, _ error: DataSetError) throws(DataSetError) {
        guard policy != .fail else { throw error }
        let messages = state.withLock { state in
            if state.found.updateValue(error, forKey: index) == nil { state.order.append(index) }
            return state.order.count > min(policy.allowance(of: total), total - 1)
                ? state.order.map { state.found[$0]!.message } : nil
        }
        guard let messages else { return }
        let allowed = policy.allowance(of: total)
        let problem =
            messages.count == total
            ? "all \(total) images are damaged"
            : "\(messages.count) of \(total) images are damaged, more than the \(allowed) allowed"
        let first = messages.prefix(5).joined(separator: "; ") + (messages.count > 5 ? "; …" : "")
        throw DataSetError(
            "\(dataSet): \(problem): \(first); repair or remove them, or raise --damaged-limit to leave them out")
    }

    /// The errors of the images found since the last call, in the order in which they were found.
    package func takeNew() -> [DataSetError] {
        state.withLock { state in
            defer { state.told = state.order.count }
            return state.order[state.told...].map { state.found[$0]! }
        }
    }
}
