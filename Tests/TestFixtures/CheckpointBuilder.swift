/// Zip archives of stored entries, with lies where a test asks for them.
public struct StoredZip {
    private var body: [UInt8] = []
    private var directory: [UInt8] = []
    private var count: UInt16 = 0

    /// An empty archive.
    public init() {}

    /// Adds an entry; `method`, `flags` and `claimedSize` may differ from the truth.
    public mutating func add(
        _ name: String, _ bytes: [UInt8], method: UInt16 = 0, flags: UInt16 = 0, claimedSize: UInt32? = nil
    ) {
        let size = claimedSize ?? UInt32(bytes.count)
        var common = littleEndian(UInt16(20)) + littleEndian(flags) + littleEndian(method)
        common += littleEndian(UInt32(0)) + littleEndian(checksum(bytes)) + littleEndian(size) + littleEndian(size)
        common += littleEndian(UInt16(name.utf8.count)) + littleEndian(UInt16(0))
        directory += [0x50, 0x4B, 1, 2, 20, 0] + common + Array(repeating: 0, count: 10)
        directory += littleEndian(UInt32(body.count)) + Array(name.utf8)
        body += [0x50, 0x4B, 3, 4] + common + Array(name.utf8) + bytes
        count += 1
    }

    /// The archive's bytes.
    public func finish() -> [UInt8] {
        var end: [UInt8] = [0x50, 0x4B, 5, 6, 0, 0, 0, 0] + littleEndian(count) + littleEndian(count)
        end += littleEndian(UInt32(directory.count)) + littleEndian(UInt32(body.count)) + [0, 0]
        return body + directory + end
    }

    /// CRC-32 by table, because fixtures of a megabyte are checksummed in debug builds.
    private func checksum(_ bytes: [UInt8]) -> UInt32 {
        var sum = ~UInt32(0)
        for byte in bytes { sum = sum >> 8 ^ Self.remainders[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
        return ~sum
    }

    private static let remainders: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(byte) { value, _ in value >> 1 ^ (value & 1 == 0 ? 0 : 0xEDB8_8320) }
    }
}

/// Checkpoints as `torch.save` writes them, with what tensors a test asks for.
public struct CheckpointBuilder {
    /// A tensor and the storage behind it.
    public struct Tensor {
        /// Its key in the state dict.
        public var key: String
        /// Its extents.
        public var shape: [Int]
        /// Its strides.
        public var strides: [Int]
        /// Its storage's class and element size.
        public var storage: (name: String, byteCount: Int) = ("FloatStorage", 4)
        /// Its storage's bytes.
        public var bytes: [UInt8]

        /// A contiguous f32 tensor of the numbers 0, 1, 2, ….
        public init(_ key: String, shape: [Int]) {
            let count = shape.reduce(1, *)
            self.init(key, shape: shape, bytes: (0..<count).flatMap { littleEndian(Float($0).bitPattern) })
        }

        /// A contiguous f32 tensor of these bytes.
        public init(_ key: String, shape: [Int], bytes: [UInt8]) {
            self.key = key
            self.shape = shape
            strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
            self.bytes = bytes
        }
    }

    /// The state dict under `model`.
    public var tensors: [Tensor] = []
    /// Where the state dict is.
    public var name = "model"
    /// What `byteorder` says; nil leaves it out.
    public var byteOrder: String? = "little"

    /// An empty checkpoint.
    public init() {}

    /// The pickle.
    public func pickle() -> [UInt8] {
        var pickle = PickleAssembler()
        pickle.opcodes("}")
        pickle.string(name)
        pickle.opcodes("}(")
        for (index, tensor) in tensors.enumerated() {
            pickle.string(tensor.key)
            pickle.tensor(
                storageClass: tensor.storage.name, key: "\(index)",
                count: tensor.bytes.count / tensor.storage.byteCount, shape: tensor.shape, strides: tensor.strides)
        }
        pickle.opcodes("us.")
        return pickle.bytes
    }

    /// The file.
    public func archive() -> [UInt8] {
        var zip = StoredZip()
        zip.add("archive/data.pkl", pickle())
        if let byteOrder { zip.add("archive/byteorder", Array(byteOrder.utf8)) }
        for (index, tensor) in tensors.enumerated() { zip.add("archive/data/\(index)", tensor.bytes) }
        return zip.finish()
    }
}
