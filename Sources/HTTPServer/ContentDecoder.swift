import CZlib

/// What decompression may produce.
struct ContentLimits: Sendable {
    var maximumBytes: Int
    /// Most bytes for each byte of the compressed body, beyond ``freeBytes``. Images and base64 compress to no less than half,
    /// numbers as text to a tenth; deflate reaches 1032 for zeros.
    var maximumRatio = 100
    /// What any body may decompress to, at any ratio: clients warm a service up with batches of zeros.
    var freeBytes = 1 << 20
}

/// Decompresses a body, piece by piece, under its limits.
struct ContentDecoder {
    private let coding: ContentCoding
    private let body: [UInt8]
    private let limits: ContentLimits
    private var content: [UInt8] = []
    private var capacity = 0

    /// Decompresses a body.
    ///
    /// - Parameter reserve: asked for each further amount of memory before it is allocated, in bytes; false refuses it.
    /// - Throws: ``ContentCodingError`` for data that is damaged, cut off or above its limits.
    static func content(
        of body: [UInt8], coding: ContentCoding, limits: ContentLimits, reserve: (Int) -> Bool
    ) throws(ContentCodingError) -> [UInt8] {
        var decoder = ContentDecoder(coding: coding, body: body, limits: limits)
        try decoder.decode(reserve)
        return decoder.content
    }

    private mutating func decode(_ reserve: (Int) -> Bool) throws(ContentCodingError) {
        var inflater = Inflater(coding == .gzip ? .gzip : Self.hasZlibHeader(body) ? .zlib : .deflate)
        var offset = 0
        // A gzip file may have several members in a row; parallel compressors write such files.
        repeat {
            offset = try decodeStream(from: offset, &inflater, reserve)
            guard offset == body.count || coding == .gzip && body[offset...].starts(with: [0x1F, 0x8B]) else {
                throw .trailingBytes(coding, offset: offset, byteCount: body.count)
            }
            inflater.reset()
        } while offset < body.count
    }

    /// Decompresses one stream.
    ///
    /// - Returns: where it ends.
    private mutating func decodeStream(
        from start: Int, _ inflater: inout Inflater, _ reserve: (Int) -> Bool
    ) throws(ContentCodingError) -> Int {
        var offset = start
        while true {
            let progress = inflater.inflate(body[offset...])
            offset += progress.consumed
            try append(inflater, progress.produced, reserve)
            switch progress.state {
            case .goesOn where progress.consumed > 0 || progress.produced > 0: continue
            case .goesOn: throw .truncated(coding, byteCount: body.count)
            case .ended: return offset
            case .needsDictionary: throw .needsDictionary
            case .corrupt: throw .corrupt(coding, offset: offset, byteCount: body.count)
            case .outOfMemory: throw .noMemory
            }
        }
    }

    private mutating func append(
        _ inflater: borrowing Inflater, _ count: Int, _ reserve: (Int) -> Bool
    ) throws(ContentCodingError) {
        guard count <= limits.maximumBytes - content.count else { throw .tooLarge(maximumBytes: limits.maximumBytes) }
        let length = content.count + count
        let (most, overflows) = body.count.multipliedReportingOverflow(by: limits.maximumRatio)
        guard overflows || length <= max(limits.freeBytes, most) else {
            throw .tooCompressed(maximumRatio: limits.maximumRatio)
        }
        if length > capacity {
            // Doubled, but never above the limit of the body: an array that grows by itself would exceed it.
            let grown = min(max(2 * capacity, length), limits.maximumBytes)
            guard reserve(grown - capacity) else { throw .noMemory }
            content.reserveCapacity(grown)
            capacity = grown
        }
        inflater.withOutput(count) { content.append(contentsOf: $0) }
    }

    /// Whether data is of the zlib format rather than bare deflate: compression method 8, a window of up to 32 KiB, and the
    /// two bytes a multiple of 31. Bare deflate would have to begin with an uncompressed block whose padding isn't zero.
    private static func hasZlibHeader(_ body: [UInt8]) -> Bool {
        guard body.count >= 2 else { return true }
        return body[0] & 0x0F == 8 && body[0] >> 4 <= 7 && (Int(body[0]) << 8 | Int(body[1])).isMultiple(of: 31)
    }
}

/// zlib's decompression, with a buffer for its output.
private struct Inflater: ~Copyable {
    /// What zlib is to expect: bits of the window, and what is around the data.
    enum Format: Int32 {
        case deflate = -15
        case zlib = 15
        case gzip = 31
    }

    enum State {
        case goesOn, ended, corrupt, needsDictionary, outOfMemory
    }

    struct Progress {
        var state: State
        var consumed: Int
        var produced: Int
    }

    private static let bufferSize = 64 << 10
    /// On the heap: zlib's state points back at it.
    private let stream: UnsafeMutablePointer<z_stream>
    private let buffer: UnsafeMutablePointer<UInt8>
    private let isReady: Bool

    init(_ format: Format) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        buffer = .allocate(capacity: Self.bufferSize)
        isReady = inflate_begin(stream, format.rawValue) == Z_OK
    }

    deinit {
        if isReady { inflateEnd(stream) }
        stream.deallocate()
        buffer.deallocate()
    }

    /// Reads until the buffer is full, the input is used up, or the stream ends.
    func inflate(_ input: ArraySlice<UInt8>) -> Progress {
        guard isReady else { return Progress(state: .outOfMemory, consumed: 0, produced: 0) }
        return input.withUnsafeBufferPointer { input in
            // zlib counts in 32 bits.
            let available = min(input.count, 1 << 30)
            // Only read from, although zlib's declaration doesn't say so.
            stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.pointee.avail_in = UInt32(available)
            stream.pointee.next_out = buffer
            stream.pointee.avail_out = UInt32(Self.bufferSize)
            let status = CZlib.inflate(stream, Z_NO_FLUSH)
            let state: State =
                switch status {
                case Z_OK, Z_BUF_ERROR: .goesOn
                case Z_STREAM_END: .ended
                case Z_NEED_DICT: .needsDictionary
                case Z_MEM_ERROR: .outOfMemory
                default: .corrupt
                }
            return Progress(
                state: state, consumed: available - Int(stream.pointee.avail_in),
                produced: Self.bufferSize - Int(stream.pointee.avail_out))
        }
    }

    /// The first `count` bytes of what was produced last.
    func withOutput(_ count: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        body(UnsafeBufferPointer(start: buffer, count: count))
    }

    /// Begins another stream of the same format.
    func reset() { if isReady { inflateReset(stream) } }
}
