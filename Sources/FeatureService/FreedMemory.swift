private import CAllocator
private import Dispatch
private import Synchronization

/// Memory that was freed but that the C library keeps for itself.
enum FreedMemory {
    private static let thread = DispatchQueue(label: "headwater.memory", qos: .utility)
    private static let isPlanned = Atomic<Bool>(false)

    /// Gives it back to the system in a moment, on a Dispatch thread; for those who are about to free much. What a model
    /// leaves is freed in pieces, some of it only when the last answers have been written, and would otherwise stay.
    static func giveBackSoon() {
        guard !isPlanned.exchange(true, ordering: .relaxed) else { return }
        thread.asyncAfter(deadline: .now() + .milliseconds(300)) {
            isPlanned.store(false, ordering: .relaxed)
            malloc_trim(0)
        }
    }
}
