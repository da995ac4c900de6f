private import CMachine
private import Dispatch
private import Synchronization

/// The memory of this process.
public enum ProcessMemory {
    private static let thread = DispatchQueue(label: "headwater.memory", qos: .utility)
    private static let isPlanned = Atomic<Bool>(false)

    /// Keeps malloc from opening an arena for every thread, of which each keeps what its busiest moment took; for a service, whose
    /// memory should not grow over time. Steps allocate nothing, so threads don't contend for arenas. Call it before the service's
    /// threads begin.
    public static func limitArenas() { mallopt(M_ARENA_MAX, 2) }

    /// Returns freed memory to the system in a second, on a Dispatch thread, once however often it is called until then; to be
    /// called when much is about to be freed. What a model or a burst of requests leaves is freed in pieces, some of it only when
    /// the last answers have been written, and malloc would keep it.
    public static func scheduleTrim() {
        guard !isPlanned.exchange(true, ordering: .relaxed) else { return }
        thread.asyncAfter(deadline: .now() + .seconds(1)) {
            isPlanned.store(false, ordering: .relaxed)
            malloc_trim(0)
        }
    }

    /// The most memory that was ever resident, in bytes; 0 if the system doesn't say.
    public static func peakResidentBytes() -> Int {
        SystemFile.text("/proc/self/status").flatMap { MemoryBudget.kibibytes("VmHWM", in: $0) }.map { $0 << 10 } ?? 0
    }
}
