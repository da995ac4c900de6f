import Files
import JSON
import UntrustedText

/// The contents of a tensor that is written.
public enum TensorContents: Sendable {
    /// Numbers, row-major, which are converted to the tensor's type.
    case floats([Float])
    /// The tensor's bytes as they are in the file, row-major, little endian.
    case bytes([UInt8])
}

/// Writes safetensors files, the same bytes for the same tensors and metadata every time.
///
/// The data begin at a multiple of 64 bytes. Tensors whose bytes fill whole multiples of 64 come first, in the order
/// given, then the others by falling element size: the format allows no gaps, and in this order nearly every tensor is
/// aligned for vector loads and all are aligned for their element type.
public enum SafetensorsWriter {
    private static let alignment = 64

    /// Writes a file, which replaces what is at `path` only once everything is on the disk (see `AtomicFile`).
    ///
    /// - Parameters:
    ///   - tensors: what to write; names must differ.
    ///   - metadata: the file's `__metadata__`.
    ///   - path: where.
    ///   - contents: called once for each tensor, in the order of the file, so only one must be in memory.
    /// - Throws: `FileError` if the file can't be written; `CheckpointError`, naming the tensor whose contents don't fit its
    ///   description or type; and what `contents` throws. The old file is then still there.
    public static func write(
        _ tensors: [TensorDescription], metadata: [String: String] = [:], to path: String,
        contents: (TensorDescription) throws -> TensorContents
    ) throws {
        let ordered = inFileOrder(tensors)
        var file = try AtomicFile(path: path)
        try file.write(try header(ordered, metadata: metadata))
        for tensor in ordered {
            let contents = try contents(tensor)
            try file.write(
                try CheckpointError.locating(in: "tensor \(quoted(tensor.name))") { try bytes(contents, of: tensor) })
        }
        try file.commit()
    }

    private static func inFileOrder(_ tensors: [TensorDescription]) -> [TensorDescription] {
        func rank(_ tensor: TensorDescription) -> Int {
            tensor.byteCount.isMultiple(of: alignment) ? 0 : alignment - tensor.type.byteCount
        }
        return tensors.enumerated()
            .sorted { (rank($0.element), $0.offset) < (rank($1.element), $1.offset) }
            .map(\.element)
    }

    private static func bytes(_ contents: TensorContents, of tensor: TensorDescription) throws -> [UInt8] {
        let bytes =
            switch contents {
            case .floats(let values): try tensor.type.bytes(of: values)
            case .bytes(let bytes): bytes
            }
        guard bytes.count == tensor.byteCount else {
            throw CheckpointError(
                .malformed,
                "\(bytes.count) bytes were given for shape \(tensor.shape) and type \(tensor.type.rawValue), which take "
                    + "\(tensor.byteCount)")
        }
        return bytes
    }

    /// The length and the JSON, padded with spaces, as the format allows, so that the data are aligned.
    private static func header(_ tensors: [TensorDescription], metadata: [String: String]) throws -> [UInt8] {
        var names: Set<String> = ["__metadata__"]
        var start = 0
        var writer = JSONWriter()
        try writer.object { json in
            if !metadata.isEmpty {
                json.member("__metadata__") { json in
                    json.object { json in
                        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
                            json.member(named: key) { $0.string(value) }
                        }
                    }
                }
            }
            for tensor in tensors {
                guard names.insert(tensor.name).inserted else {
                    throw CheckpointError(
                        .malformed, "the tensor name \(quoted(tensor.name)) is used twice or is reserved")
                }
                let (end, overflow) = start.addingReportingOverflow(tensor.byteCount)
                guard !overflow else { throw CheckpointError(.limitExceeded, "the tensors are too large for a file") }
                json.member(named: tensor.name) { json in
                    json.object { json in
                        json.member("dtype", tensor.type.rawValue)
                        json.member("shape") { json in json.array(of: tensor.shape) { $0.integer($1) } }
                        json.member("data_offsets") { json in json.array(of: [start, end]) { $0.integer($1) } }
                    }
                }
                start = end
            }
        }
        var json = writer.bytes
        let excess = (8 + json.count) % alignment
        json += Array(repeating: UInt8(ascii: " "), count: excess == 0 ? 0 : alignment - excess)
        guard json.count <= SafetensorsHeader.largestByteCount, tensors.count <= SafetensorsHeader.mostTensors else {
            throw CheckpointError(.limitExceeded, "the header of \(tensors.count) tensors would be too large to read")
        }
        return withUnsafeBytes(of: UInt64(json.count).littleEndian, Array.init) + json
    }
}
