import CheckpointFormats
import Files
import JSON

/// A JSON document next to weights, which may be hostile.
struct ConfigurationFile {
    /// The longest document that is read, in bytes.
    static let largest = 1 << 20

    /// Where it is.
    let path: String
    private let bytes: [UInt8]

    /// The document at `path`; nil if there is no such file.
    ///
    /// - Throws: `FileError` or `CheckpointError` if there is one that can't be read.
    init?(path: String) throws {
        guard RegularFile.exists(path) else { return nil }
        let file = try RegularFile(path: path)
        guard file.byteCount <= Self.largest else {
            throw CheckpointError(.limitExceeded, "\(path) is longer than \(Self.largest) bytes")
        }
        self.path = path
        bytes = try file.bytes(in: 0..<file.byteCount)
    }

    /// The document as a value.
    ///
    /// - Throws: `CheckpointError` with the path in front.
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try CheckpointError.locating(in: path) { try JSONCoder.decode(type, from: bytes) }
    }
}
