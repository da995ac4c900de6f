private import CKernels
private import Dispatch
import Glibc
import Machine
private import Synchronization

/// Persistent workers that run one parallel section after another, a network evaluation being about a hundred of them.
///
/// A worker waits for the next section by spinning for some microseconds and then parks on a semaphore, so that the
/// sections of an evaluation follow each other at the cost of a cache-line transfer and an idle service uses no
/// processor. `DispatchQueue.concurrentPerform` was rejected: waking its threads costs tens of microseconds a section.
public final class WorkerPool: Sendable {
    /// How many workers take part in a section, the calling thread being worker 0.
    public let count: Int

    /// The processors' groups, among which images are divided first.
    public let domains: CacheDomains

    private let turn = Mutex(())
    private let rendezvous: Rendezvous

    /// Starts `count` - 1 workers, each on a Dispatch queue of its own; `count` is at least 1. With more than one group of
    /// processors each worker stays in its own; the calling threads, which come and go, are not held.
    public init(count: Int, domains: CacheDomains = .available()) {
        precondition(count >= 1, "a pool has at least the calling thread")
        self.count = count
        self.domains = domains
        let rendezvous = Rendezvous(seats: count - 1)
        self.rendezvous = rendezvous
        for worker in 1..<count {
            DispatchQueue(label: "headwater.worker.\(worker)", qos: .userInitiated).async {
                let mode = hw_flush_denormals()
                defer { hw_restore_denormals(mode) }
                domains.keepThread(as: worker, of: count) { rendezvous.work(as: worker) }
            }
        }
    }

    // Workers hold the rendezvous, not the pool, and leave at the announcement of no work.
    deinit { if count > 1 { rendezvous.announce(nil, nil) } }

    /// What a worker runs in a section: the section's context and the worker's number.
    public typealias Section = @convention(c) (_ context: UnsafeMutableRawPointer, _ worker: Int) -> Void

    /// Into how many parts the images of a batch are divided at least, so that each part stays in one group of processors.
    public func imageParts(_ images: Int) -> Int { domains.parts(images: images, workers: count) }

    /// Calls `section` with the address of `context` once on each worker, concurrently, and returns when all have returned. Allocates
    /// nothing, which a closure that other threads call could not promise: hence the C function.
    ///
    /// Within it denormal numbers count as zero, on every worker alike.
    ///
    /// What the calls write must not overlap. Sections of different threads take turns. A section must not start another
    /// one of the same pool.
    public func run<Context>(on context: inout Context, _ section: Section) {
        withUnsafeMutablePointer(to: &context) { pointer in
            let raw = UnsafeMutableRawPointer(pointer)
            let mode = hw_flush_denormals()
            defer { hw_restore_denormals(mode) }
            guard count > 1 else { return section(raw, 0) }
            turn.withLock { _ in
                rendezvous.announce(section, raw)
                section(raw, 0)
                rendezvous.awaitWorkers()
            }
        }
    }

    /// Calls `body(worker)` once on each worker, concurrently, and returns when all have returned; for work at load time.
    public func run(_ body: (Int) -> Void) {
        // The check that the closure didn't escape has the length of the file's path in it, even where the compiler replaces the path
        // (-file-prefix-map): named like this, the program has the same bytes wherever it is built.
        #sourceLocation(file:"WorkerPool.run",line:74)
        withoutActuallyEscaping(body) { escaping in
            var body = escaping
            run(on: &body) { context, worker in
                context.assumingMemoryBound(to: ((Int) -> Void).self).pointee(worker)
            }
        }
        #sourceLocation()
    }

    /// Calls `body` once with each of `0..<count`, which the workers share.
    public func forEach(_ count: Int, _ body: (Int) -> Void) {
        run { worker in
            for index in Self.part(worker, of: self.count, total: count) { body(index) }
        }
    }

    /// The `index`-th of `parts` contiguous parts of `0..<total`, sizes differing by at most one.
    public static func part(_ index: Int, of parts: Int, total: Int) -> Range<Int> {
        let size = total / parts
        let extra = total % parts
        let start = index * size + min(index, extra)
        return start..<(start + size + (index < extra ? 1 : 0))
    }
}

/// Where the announcing thread and the workers meet.
///
/// Unchecked: `section` and `context` are written only while no worker is in a section, and read by workers after the
/// acquiring load of `generation` that announces them.
private final class Rendezvous: @unchecked Sendable {
    private let generation = Atomic<Int>(0)
    private let unfinished = Atomic<Int>(0)
    private let seats: [Seat]
    private var section: WorkerPool.Section?
    private var context: UnsafeMutableRawPointer?

    /// Spins before a worker parks; about 50 microseconds, longer than any pause between two layers.
    private static let spins = 2_000

    private final class Seat: Sendable {
        let isParked = Atomic<Bool>(false)
        let wake = DispatchSemaphore(value: 0)
    }

    init(seats: Int) { self.seats = (0..<seats).map { _ in Seat() } }

    /// Starts a section, or with nil sends the workers home.
    func announce(_ section: WorkerPool.Section?, _ context: UnsafeMutableRawPointer?) {
        self.section = section
        self.context = context
        unfinished.store(seats.count, ordering: .relaxed)
        generation.add(1, ordering: .sequentiallyConsistent)
        for seat in seats where seat.isParked.exchange(false, ordering: .sequentiallyConsistent) {
            seat.wake.signal()
        }
    }

    /// Returns when every worker has finished the section.
    func awaitWorkers() {
        var spins = 0
        while unfinished.load(ordering: .acquiring) > 0 {
            spins += 1
            // A worker that the kernel has taken off its processor gets ours instead of a busy loop next to it.
            if spins > Self.spins { sched_yield() } else { hw_pause() }
        }
    }

    func work(as worker: Int) {
        let seat = seats[worker - 1]
        var seen = 0
        while true {
            awaitSection(after: seen, at: seat)
            seen += 1
            guard let section, let context else { return }
            section(context, worker)
            unfinished.subtract(1, ordering: .releasing)
        }
    }

    private func awaitSection(after seen: Int, at seat: Seat) {
        var spins = 0
        while generation.load(ordering: .acquiring) == seen {
            spins += 1
            guard spins > Self.spins else {
                hw_pause()
                continue
            }
            // An exchange instead of a store: on x86-64, qemu lets the load below overtake arm64's store, and the wake-up is then lost.
            _ = seat.isParked.exchange(true, ordering: .sequentiallyConsistent)
            let isStillIdle = generation.load(ordering: .sequentiallyConsistent) == seen
            // The thread that turns the flag back owns the wake-up: if the announcer did, its signal is on the way.
            if isStillIdle || !seat.isParked.exchange(false, ordering: .sequentiallyConsistent) { seat.wake.wait() }
            spins = 0
        }
    }
}
