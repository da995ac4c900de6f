import Files
import Glibc
import Synchronization
import UntrustedText

/// The bytes that bodies and answers of all requests together may hold in memory.
final class BodyBudget: Sendable {
    let maximum: Int
    private let reserved = Atomic<Int>(0)

    init(maximum: Int) { self.maximum = maximum }

    var heldBytes: Int { reserved.load(ordering: .relaxed) }

    /// Takes `bytes` of the budget, or nothing and returns false.
    func reserve(_ bytes: Int) -> Bool {
        let (_, after) = reserved.add(bytes, ordering: .relaxed)
        guard after > maximum else { return true }
        reserved.subtract(bytes, ordering: .relaxed)
        return false
    }

    func release(_ bytes: Int) { reserved.subtract(bytes, ordering: .relaxed) }
}

/// One request's share of the budget: of its body as received, of what the body decompresses to, and of its answer.
final class BodyShare: Sendable {
    private let budget: BodyBudget
    /// Nil once the request has ended.
    private let reserved = Mutex<Int?>(0)

    init(of budget: BodyBudget) { self.budget = budget }

    /// The most bytes that there are for all requests together.
    var maximum: Int { budget.maximum }

    /// Takes `bytes` more; false if the budget doesn't have them or the request has ended.
    func reserve(_ bytes: Int) -> Bool {
        reserved.withLock { reserved in
            guard let before = reserved, budget.reserve(bytes) else { return false }
            reserved = before + bytes
            return true
        }
    }

    /// Returns all of it to the budget. Nothing can be reserved afterwards.
    func end() {
        reserved.withLock { reserved in
            budget.release(reserved ?? 0)
            reserved = nil
        }
    }
}

/// Receives a body piece by piece, under its limits. Memory is allocated for bytes that arrive, not for an announced length.
struct BodyReceiver: Sendable {
    let maximumBytes: Int
    private(set) var receivedBytes = 0
    private(set) var bytes: [UInt8] = []
    /// Where the body goes; nil for memory.
    var file: SpoolFile?
    let share: BodyShare

    init(maximumBytes: Int, budget: BodyBudget) {
        self.maximumBytes = maximumBytes
        share = BodyShare(of: budget)
    }

    mutating func append(_ piece: UnsafeRawBufferPointer) throws(TransportRefusal) {
        guard piece.count <= maximumBytes - receivedBytes else {
            throw TransportRefusal(status: 413, reason: "the body is larger than \(maximumBytes) bytes")
        }
        if let file {
            try file.write(piece)
        } else {
            guard share.reserve(piece.count) else { throw .memoryIsFull }
            bytes.append(contentsOf: piece)
        }
        receivedBytes += piece.count
    }

    /// Hands the received body over. Its share of the budget stays reserved until ``discard()``.
    mutating func takeBody() -> Request.Body {
        if let file { return .file(path: file.path, byteCount: receivedBytes) }
        defer { bytes = [] }
        return .bytes(bytes)
    }

    /// Releases memory and budget, and removes the file if it still exists.
    mutating func discard() {
        bytes = []
        share.end()
        file?.remove()
        file = nil
    }
}

/// A new file that a body is written to.
final class SpoolFile: Sendable {
    let path: String
    private let descriptor: FileDescriptor

    init(directory: String) throws(TransportRefusal) {
        path = "\(directory)/.upload-\(String(UInt64.random(in: 0 ... .max), radix: 16))"
        do throws(SystemError) {
            descriptor = try FileDescriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        } catch {
            throw Self.refusal(error)
        }
    }

    deinit { descriptor.close() }

    func write(_ bytes: UnsafeRawBufferPointer) throws(TransportRefusal) {
        do throws(SystemError) {
            try descriptor.write(bytes)
        } catch {
            throw Self.refusal(error)
        }
    }

    /// Removes the file, unless it has been renamed.
    func remove() { unlink(path.systemPath) }

    private static func refusal(_ error: SystemError) -> TransportRefusal {
        // Descriptors become free when connections end; a full disk stays full until its owner acts.
        let isPassing = error.code == EMFILE || error.code == ENFILE
        return TransportRefusal(status: isPassing ? 503 : 507, reason: "the body cannot be stored: \(error)")
    }
}
