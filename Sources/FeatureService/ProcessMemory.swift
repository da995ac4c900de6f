private import CAllocator
private import Dispatch
private import Synchronization

/// What the C library keeps of memory that was freed.
public enum ProcessMemory {
    private static let thread = DispatchQueue(label: "headwater.memory", qos: .utility)
    private static let isPlanned = Atomic<Bool>(false)

    /// Keeps malloc from opening an arena for every thread that comes along, of which each keeps what its busiest moment
    /// took; for a service, which should need tomorrow what it needs today. Steps allocate nothing that could contend.
    /// To be called before the service's threads begin.
    public static func limitArenas() { mallopt(M_ARENA_MAX, 2) }

    /// Gives it back to the system in a second, on a Dispatch thread, however often it is asked until then; for those who are
    /// about to free much. What a model or a burst of requests leaves is freed in pieces, some of it only when the last
    /// answers have been written, and would otherwise stay.
    static func giveBackSoon() {
        guard !isPlanned.exchange(true, ordering: .relaxed) else { return }
        thread.asyncAfter(deadline: .now() + .seconds(1)) {
            isPlanned.store(false, ordering: .relaxed)
            malloc_trim(0)
        }
    }
}
