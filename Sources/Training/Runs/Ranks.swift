import CMPI
import Console
import Digests

/// The processes of a run that `mpirun` started together, each with a number, its rank. All of them make the same calls in the
/// same order, and a call returns when every rank has made it. If one of them ends early, Open MPI ends all.
package struct Ranks: Sendable {
    /// This process's place among them, from 0.
    package let own: Int
    /// At least 2.
    package let count: Int

    /// Whether this process alone prints and writes files.
    package var isFirst: Bool { own == 0 }

    /// Joins the processes that were started together with this one; to be called once.
    ///
    /// - Parameter environment: of this process, in which mpirun says how many it has started.
    /// - Returns: nil if this process runs alone.
    /// - Throws: `CommandFailure` if it doesn't run alone and can't join the others: each would then write the same files.
    package static func join(_ environment: [String: String]) throws -> Ranks? {
        guard let count = try startedTogether(environment) else { return nil }
        guard mpi_is_supported else {
            throw CommandFailure(
                .unavailable,
                "mpirun started \(count) processes, and this program was built without Open MPI's headers; install them and "
                    + "build it again, or start one process without mpirun")
        }
        var (rank, size): (Int32, Int32) = (0, 1)
        if let problem = mpi_join(&rank, &size) {
            throw CommandFailure(
                .unavailable,
                "mpirun started \(count) processes, and this one can't use Open MPI: \(String(cString: problem)); install its "
                    + "library on this machine, or start one process without mpirun")
        }
        guard size == count else {
            throw CommandFailure(
                .unavailable,
                "mpirun started \(count) processes, but this program's Open MPI finds \(size); start them by the mpirun of the "
                    + "version that is installed on this machine (libmpi.so.40)")
        }
        return Ranks(own: Int(rank), count: Int(size))
    }

    /// How many processes the environment says were started together; nil for one.
    static func startedTogether(_ environment: [String: String]) throws -> Int? {
        func size(_ name: String) -> Int { environment[name].flatMap { Int($0) } ?? 1 }
        let count = size("OMPI_COMM_WORLD_SIZE")
        guard count <= 1 else { return count }
        let others = size("PMI_SIZE")
        guard others <= 1 else {
            throw CommandFailure(
                .usage,
                "\(others) processes were started together (PMI_SIZE), but not by Open MPI's mpirun; start them by that, or "
                    + "start one process")
        }
        return nil
    }

    /// Leaves the others, at the end of a run that succeeded.
    package func leave() { mpi_leave() }

    /// Whether any rank says yes.
    package func any(_ isTrue: Bool) -> Bool { gather([isTrue]).contains(true) }

    /// The values of all ranks, of which each gives as many, in the ranks' order.
    func gather<Value: BitwiseCopyable>(_ values: [Value]) -> [Value] {
        [Value](unsafeUninitializedCapacity: values.count * count) { all, initialized in
            values.withUnsafeBytes { own in
                mpi_gather(own.baseAddress!, UnsafeMutableRawPointer(all.baseAddress!), Int32(own.count))
            }
            initialized = values.count * count
        }
    }

    /// Puts `pieceCount` numbers of each rank into `target`, in the ranks' order.
    func gather(_ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, pieceCount: Int) {
        mpi_gather(source, target, Int32(pieceCount * MemoryLayout<Float>.stride))
    }

    /// Sends each rank `pieceCount` numbers of `source`, and puts what each sends to this one into `target`, in the ranks' order.
    func exchange(_ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, pieceCount: Int) {
        mpi_exchange(source, target, Int32(pieceCount * MemoryLayout<Float>.stride))
    }

    /// Checks that all ranks are about to compute the same.
    ///
    /// - Throws: `CommandFailure`, on every rank.
    func requireAgreement(on digest: SHA256.Digest) throws {
        let all = gather(digest.bytes)
        for rank in 1..<count {
            let other = all[(rank * digest.bytes.count)..<((rank + 1) * digest.bytes.count)]
            guard other.elementsEqual(all.prefix(digest.bytes.count)) else {
                throw CommandFailure(
                    .usage,
                    "rank \(rank) would not train as rank 0 does: options, kernels, images, weights or state differ; give "
                        + "every machine the same files and options, and --kernels if their processors differ")
            }
        }
    }
}
