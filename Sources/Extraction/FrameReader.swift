private import Dispatch
import FeatureService
import Files
import Glibc
import Synchronization

/// Reads images in frames from a descriptor, one after another, as a client of ``EmbedStream`` writes them. It takes nothing from
/// the descriptor before it is asked, so the client can't fill the memory.
package final class FrameReader: Sendable {
    private struct State {
        var count = 0
        /// The names of images that ``takeName(of:)`` hasn't taken yet.
        var names: [Int: [UInt8]] = [:]
        var isOver = false
        var failure: FrameError?
    }

    private let input: CancellableInput
    private let maximumBytes: Int
    private let state = Mutex(State())
    /// Its thread waits for the client, perhaps for long. Dispatch's shared queues have about a thread a processor, which images
    /// need to be decoded.
    private let queue = DispatchQueue(label: "headwater.frames", qos: .userInitiated)

    /// Reads from `descriptor` as long as the client reads from `answers`. Both stay the caller's to close.
    ///
    /// - Parameter maximumBytes: the most bytes of an image.
    /// - Throws: `SystemError` if the process has no descriptors left.
    package init(_ descriptor: FileDescriptor, answers: FileDescriptor, maximumBytes: Int) throws(SystemError) {
        input = try CancellableInput(descriptor, answers: answers)
        self.maximumBytes = maximumBytes
    }

    /// Why the input ended in something else than a whole frame; nil if it did not.
    package var failure: FrameError? { state.withLock { $0.failure } }

    /// Waits for the next image. Several tasks may wait at the same time; each gets another image.
    ///
    /// - Returns: how many images came before it, and the image, or why it can't be used; nil after the last one, after a
    ///   frame that can't be read, which ``failure`` then explains, and once a task that waits is cancelled.
    package func next() async -> (index: Int, input: Result<FeatureInput, any Error>)? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async { continuation.resume(returning: self.read()) }
            }
        } onCancel: {
            input.cancel()
        }
    }

    /// As ``next()``, on the calling thread; no two may call it at the same time.
    func read() -> (index: Int, input: Result<FeatureInput, any Error>)? {
        let index = state.withLock { $0.isOver ? nil : $0.count }
        guard let index else { return nil }
        do throws(FrameError) {
            if let (name, image) = try frame(number: index + 1) {
                state.withLock { state in
                    state.count += 1
                    state.names[index] = name
                }
                return (index, image)
            }
            state.withLock { $0.isOver = true }
        } catch {
            state.withLock { state in
                state.isOver = true
                state.failure = error
            }
        }
        return nil
    }

    /// The name that came with an image. Call it once for each image that ``next()`` returned.
    package func takeName(of index: Int) -> [UInt8] { state.withLock { $0.names.removeValue(forKey: index) } ?? [] }

    private func frame(number: Int) throws(FrameError) -> (name: [UInt8], image: Result<FeatureInput, any Error>)? {
        guard let header = try bytes(Frame.headerLength, of: number, mayEnd: true) else { return nil }
        let (kind, nameLength, contentLength) = Frame.fields(ofHeader: header)
        guard kind == Frame.Kind.image.rawValue else { throw FrameError(.kind(kind), frame: number) }
        guard nameLength <= Frame.longestName else { throw FrameError(.longName(nameLength), frame: number) }
        let name = try bytes(nameLength, of: number) ?? []
        guard contentLength <= maximumBytes else {
            try skip(contentLength, of: number)
            let problem = "the image has \(contentLength) bytes, and at most \(maximumBytes) are allowed"
            return (name, .failure(UnusableImage(description: problem)))
        }
        return (name, .success(.encoded(try bytes(contentLength, of: number) ?? [])))
    }

    /// - Parameter mayEnd: whether the input may end instead; the result is then nil.
    private func bytes(_ count: Int, of frame: Int, mayEnd: Bool = false) throws(FrameError) -> [UInt8]? {
        // A client that states a length needn't send as much, so memory follows what arrives.
        var bytes: [UInt8] = []
        while bytes.count < count {
            let part = try part(atMost: count - bytes.count, of: frame)
            if part.isEmpty, bytes.isEmpty, mayEnd { return nil }
            guard !part.isEmpty else { throw FrameError(.truncated, frame: frame) }
            bytes += part
        }
        return bytes
    }

    private func skip(_ count: Int, of frame: Int) throws(FrameError) {
        var left = count
        while left > 0 {
            let part = try part(atMost: left, of: frame)
            guard !part.isEmpty else { throw FrameError(.truncated, frame: frame) }
            left -= part.count
        }
    }

    private func part(atMost count: Int, of frame: Int) throws(FrameError) -> [UInt8] {
        do throws(SystemError) {
            return try input.readSome(atMost: min(count, 1 << 16))
        } catch {
            throw FrameError(error.code == EPIPE ? .abandoned : .unreadable(error), frame: frame)
        }
    }
}

/// Why bytes are no frame.
package struct FrameError: Error, Equatable, CustomStringConvertible {
    package enum Cause: Equatable, Sendable {
        /// The first byte isn't that of an image.
        case kind(UInt8)
        /// The name has so many bytes.
        case longName(Int)
        /// The input ends in the middle.
        case truncated
        case unreadable(SystemError)
        /// The client doesn't read answers any more.
        case abandoned
    }

    package let cause: Cause
    /// Which frame it is, from 1.
    package let frame: Int

    init(_ cause: Cause, frame: Int) {
        self.cause = cause
        self.frame = frame
    }

    package var description: String {
        switch cause {
        case .kind(let byte):
            "frame \(frame) on standard input begins with the byte \(byte), and an image's frame begins with "
                + "\(Frame.Kind.image.rawValue) (I); check that the input consists of frames and that the lengths in the "
                + "frame before it are right"
        case .longName(let length):
            "the name in frame \(frame) on standard input has \(length) bytes, and at most \(Frame.longestName) are "
                + "allowed; check that the input consists of frames"
        case .truncated:
            "standard input ends in the middle of frame \(frame); check that the client writes whole frames and isn't "
                + "killed"
        case .unreadable(let error): "can't read frame \(frame) from standard input: \(error)"
        case .abandoned: "the client closed standard output before frame \(frame) of standard input"
        }
    }
}

/// A descriptor to read from. A thread that waits for its bytes can be called off, and learns that the client reads no more answers.
private final class CancellableInput: Sendable {
    private let input: FileDescriptor
    private let answers: FileDescriptor
    /// A pipe that has a byte once the reading is cancelled.
    private let cancellation: (output: FileDescriptor, input: FileDescriptor)

    init(_ input: FileDescriptor, answers: FileDescriptor) throws(SystemError) {
        self.input = input
        self.answers = answers
        var ends: [Int32] = [0, 0]
        try SystemError.check("pipe", pipe(&ends))
        cancellation = (FileDescriptor(ends[0]), FileDescriptor(ends[1]))
    }

    deinit {
        cancellation.output.close()
        cancellation.input.close()
    }

    func cancel() { try? cancellation.input.write([0]) }

    /// Waits for bytes.
    ///
    /// - Returns: nothing at the end.
    /// - Throws: `SystemError`, with the code `ECANCELED` after ``cancel()``, and `EPIPE` if there are none and no process can
    ///   read the answers.
    func readSome(atMost count: Int) throws(SystemError) -> [UInt8] {
        // Of a descriptor without events, poll reports errors alone.
        let events: [(FileDescriptor, Int32)] = [(input, POLLIN), (cancellation.output, POLLIN), (answers, 0)]
        var waits = events.map { pollfd(fd: $0.number, events: Int16($1), revents: 0) }
        try SystemError.check("poll", uninterrupted { poll(&waits, nfds_t(waits.count), -1) })
        guard waits[1].revents == 0 else { throw SystemError(code: ECANCELED) }
        // At the end of its input, a stream ends well, even if the client has closed both pipes.
        guard waits[0].revents != 0 || waits[2].revents == 0 else { throw SystemError(code: EPIPE) }
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = try bytes.withUnsafeMutableBufferPointer { buffer throws(SystemError) in
            try input.readSome(into: UnsafeMutableRawBufferPointer(buffer))
        }
        bytes.removeSubrange(filled...)
        return bytes
    }
}
