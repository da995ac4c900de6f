import CNettle

/// The SHA-256 hash function (FIPS 180-4), fed piece by piece.
public struct SHA256: Sendable {
    private var context = sha256_ctx()

    /// A hash of nothing yet.
    public init() { nettle_sha256_init(&context) }

    /// Hashes `bytes` after what came before.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        nettle_sha256_update(&context, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }

    /// Hashes `bytes` after what came before.
    public mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    /// The digest of everything fed so far; the hash itself is unchanged and may be fed on.
    public func finalize() -> Digest {
        var context = context
        return Digest(
            bytes: [UInt8](unsafeUninitializedCapacity: Digest.byteCount) { buffer, count in
                nettle_sha256_digest(&context, Digest.byteCount, buffer.baseAddress)
                count = Digest.byteCount
            })
    }

    /// The digest of `bytes`.
    public static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }

    /// The digest of `bytes`.
    public static func hash(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { hash($0) } }
}

extension SHA256 {
    /// A SHA-256 digest.
    public struct Digest: Sendable, Hashable, CustomStringConvertible {
        /// Length of a digest in bytes.
        public static let byteCount = 32

        /// The digest's 32 bytes.
        public let bytes: [UInt8]

        fileprivate init(bytes: [UInt8]) { self.bytes = bytes }

        /// Reads 64 hexadecimal digits of either case; nil for anything else.
        public init?(hexadecimal text: some StringProtocol) {
            guard let bytes = [UInt8](hexadecimal: text), bytes.count == Self.byteCount else { return nil }
            self.bytes = bytes
        }

        /// 64 lower-case hexadecimal digits.
        public var description: String { bytes.hexadecimal }
    }
}
