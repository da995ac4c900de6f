import Console
import Files
import Glibc
import JSON
import UntrustedText

/// The results of a bulk run so far, in a file next to its output until the output is complete. A killed run continues from it.
///
/// A line of JSON says what rows depend on; one record per image follows, in the order of the images. Each record is appended by
/// one call and ends in a checksum of all bytes before it, which reveals a torn record. It also holds a fingerprint of its image:
/// records count up to the first image that has changed. A lock keeps two processes from writing one output.
@MainActor
package final class ProgressFile {
    /// What became of an image.
    enum Outcome: Equatable {
        /// Its row.
        case row([UInt8])
        /// Why it was left out.
        case skipped(String)
    }

    /// Whether to continue from a file that exists.
    package enum Continuation: Sendable {
        /// Only from one of a run of the same settings; another is dropped.
        case ifSame
        /// Also, but a file of other settings is an error.
        case required
        /// Not at all.
        case never
    }

    /// What follows an output's name in that of its progress file.
    package nonisolated static let suffix = ".progress"

    /// Where it is.
    let path: String
    /// How many images it holds.
    private(set) var count = 0
    /// How many of them have rows.
    private(set) var rows = 0
    /// What differs between the run that left a file and this one, if its file was dropped for that.
    private(set) var differences: [String] = []

    private let file: FileDescriptor
    private var checksum = Checksum()
    private var start = 0
    private var end = 0

    /// Opens the progress file of the output at `output`, made if there is none.
    ///
    /// - Parameters:
    ///   - settings: what rows depend on in addition to their images, by the name that a message has for it.
    ///   - fingerprint: of the image at an index, to compare with that of a record; nil if there is no such image.
    /// - Throws: `CommandFailure` if the file belongs to other settings and must not, if another process holds it, if it isn't
    ///   such a file or can't be read or written.
    init(
        of output: String, settings: [String: String], _ continuation: Continuation, fingerprint: (Int) -> UInt64?
    ) throws {
        path = output + Self.suffix
        file = try Self.openLocked(path)
        let header = try Header(settings)
        let found = continuation == .never ? nil : try readHeader()
        guard let found, found.settings == settings else {
            if let found { differences = Self.differences(found.settings, settings) }
            guard differences.isEmpty || continuation == .ifSame else {
                throw CommandFailure(
                    .usage,
                    "--resume: \(path) belongs to another run: \(differences.joined(separator: "; ")); give the same "
                        + "options, or --no-resume to begin again")
            }
            try begin(header)
            return
        }
        start = found.bytes.count
        end = start
        checksum.add(found.bytes)
        try keepRecords(fingerprint)
        try attempt("shorten") { () throws(SystemError) in try file.truncate(to: end) }
    }

    deinit {
        // A process that is being started may still hold the descriptor, and with it the lock.
        flock(file.number, LOCK_UN)
        file.close()
    }

    /// Appends what became of the next image.
    func append(_ outcome: Outcome, fingerprint: UInt64) throws {
        let record = Record(outcome, fingerprint: fingerprint)
        var next = checksum
        let bytes = record.bytes(&next)
        try write(bytes)
        checksum = next
        take(record, length: bytes.count)
    }

    /// Gives the index and the outcome of every image, in order.
    func forEach(_ body: (Int, Outcome) throws -> Void) throws {
        var place = start
        for index in 0..<count {
            guard let (record, length) = try record(at: place) else {
                throw Self.failure("read", path, SystemError(code: EIO))
            }
            try body(index, record.outcome)
            place += length
        }
    }

    /// Takes the file away: it is needed no more.
    func remove() { unlink(path.systemPath) }

    // MARK: Opening

    private static func openLocked(_ path: String) throws -> FileDescriptor {
        while true {
            let file: FileDescriptor
            do throws(SystemError) {
                file = try FileDescriptor(opening: path, O_RDWR | O_CREAT | O_NOFOLLOW)
            } catch {
                throw failure("open", path, error)
            }
            guard uninterrupted({ flock(file.number, LOCK_EX | LOCK_NB) }) == 0 else {
                let error = SystemError.last
                file.close()
                guard error.code == EWOULDBLOCK else { throw failure("lock", path, error) }
                throw CommandFailure(
                    .unwritableOutput, "another process is writing \(path.dropLast(suffix.count)); wait until it ends")
            }
            // The process that held it may have removed it meanwhile.
            var status = stat()
            if fstat(file.number, &status) == 0, status.st_nlink > 0 { return file }
            file.close()
        }
    }

    /// The settings in the file and its header's bytes; nil if it has no whole header.
    private func readHeader() throws -> (settings: [String: String], bytes: ArraySlice<UInt8>)? {
        let bytes = try read(at: 0, atMost: Header.maximumLength)
        guard let lineEnd = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            guard Header.start.utf8.starts(with: bytes.prefix(Header.start.utf8.count)) else { throw foreign }
            return nil
        }
        guard bytes.starts(with: Header.start.utf8),
            let settings = try? JSONCoder.decode([String: String].self, from: bytes[Header.start.utf8.count..<lineEnd])
        else { throw foreign }
        return (settings, bytes[...lineEnd])
    }

    private var foreign: CommandFailure {
        CommandFailure(
            .unusableData, "\(path) exists and is not the progress of a run; remove it or give another output")
    }

    private func begin(_ header: Header) throws {
        try attempt("shorten") { () throws(SystemError) in try file.truncate(to: 0) }
        try write(header.bytes)
        checksum.add(header.bytes)
        start = header.bytes.count
        end = start
    }

    /// Takes in the records in front that are whole and whose images are still the same.
    private func keepRecords(_ fingerprint: (Int) -> UInt64?) throws {
        while let (record, length) = try record(at: end), fingerprint(count) == record.fingerprint {
            var next = checksum
            guard try read(at: end, atMost: length) == record.bytes(&next) else { return }
            checksum = next
            take(record, length: length)
        }
    }

    private func take(_ record: Record, length: Int) {
        count += 1
        if case .row = record.outcome { rows += 1 }
        end += length
    }

    private static func differences(_ before: [String: String], _ now: [String: String]) -> [String] {
        Set(before.keys).union(now.keys).sorted().compactMap { key in
            before[key] == now[key] ? nil : "\(key) was \(before[key] ?? "not given") and is \(now[key] ?? "not given")"
        }
    }

    // MARK: Bytes

    /// The record at a place, whose checksum is not looked at; nil if there is no whole one.
    private func record(at place: Int) throws -> (Record, length: Int)? {
        let head = try read(at: place, atMost: Record.headLength)
        guard head.count == Record.headLength else { return nil }
        let length = Int(
            head[0..<4].enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element) << (8 * UInt32($1.offset)) })
        let rest = try read(at: place + Record.headLength, atMost: length + Checksum.length)
        guard rest.count == length + Checksum.length, let record = Record(head: head, payload: rest[..<length]) else {
            return nil
        }
        return (record, head.count + rest.count)
    }

    private func read(at place: Int, atMost count: Int) throws -> [UInt8] {
        // A torn record may state any length.
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw Self.failure("examine", path, .last) }
        let length = min(count, max(Int(status.st_size) - place, 0))
        var bytes = [UInt8](repeating: 0, count: length)
        do {
            try bytes.withUnsafeMutableBytes { try RegularFile.fill($0, from: file, path, at: place) }
        } catch {
            throw CommandFailure(.unwritableOutput, "\(error)")
        }
        return bytes
    }

    private func write(_ bytes: [UInt8]) throws {
        try attempt("write") { () throws(SystemError) in try file.write(bytes, at: end) }
    }

    private func attempt(_ action: String, _ body: () throws(SystemError) -> Void) throws(CommandFailure) {
        do throws(SystemError) {
            try body()
        } catch {
            throw Self.failure(action, path, error)
        }
    }

    private static func failure(_ action: String, _ path: String, _ error: SystemError) -> CommandFailure {
        CommandFailure(.unwritableOutput, "can't \(action) \(path): \(error)")
    }
}

/// The first line of a progress file.
private struct Header {
    static let start = "headwater progress 1 "
    static let maximumLength = 1 << 20

    let bytes: [UInt8]

    init(_ settings: [String: String]) throws {
        bytes = Array(Self.start.utf8) + (try JSONCoder.encode(settings)) + [UInt8(ascii: "\n")]
    }
}

/// An image in a progress file: four bytes with the payload's length, one with its kind, eight with the image's
/// fingerprint, the payload, and a checksum.
private struct Record {
    static let headLength = 13

    let outcome: ProgressFile.Outcome
    let fingerprint: UInt64

    init(_ outcome: ProgressFile.Outcome, fingerprint: UInt64) {
        self.outcome = outcome
        self.fingerprint = fingerprint
    }

    init?(head: [UInt8], payload: ArraySlice<UInt8>) {
        switch head[4] {
        case 0: outcome = .row(Array(payload))
        case 1: outcome = .skipped(String(pathBytes: payload))
        default: return nil
        }
        fingerprint = head[5...].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The record with the checksum that it then has, and what is before it.
    func bytes(_ checksum: inout Checksum) -> [UInt8] {
        let (kind, payload): (UInt8, [UInt8]) =
            switch outcome {
            case .row(let bytes): (0, bytes)
            case .skipped(let reason): (1, reason.pathBytes)
            }
        var bytes = littleEndian(UInt64(payload.count)).prefix(4) + [kind]
        bytes += littleEndian(fingerprint) + payload
        checksum.add(bytes)
        return Array(bytes) + littleEndian(checksum.value)
    }
}

/// FNV-1a, which tells records that were torn apart from whole ones.
struct Checksum {
    static let length = 8
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    }
}

private func littleEndian(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
