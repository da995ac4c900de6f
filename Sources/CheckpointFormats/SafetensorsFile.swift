import Digests
import UntrustedText

/// A safetensors file. It is checked as a whole when it is opened: what a tensor's description says is true of the bytes.
public struct SafetensorsFile: Sendable {
    /// When a file's bytes are read.
    public enum Access: Sendable {
        /// Into memory when it is opened. For a service: nothing that happens to the file afterwards can harm it.
        case load
        /// The header when it is opened, each tensor when it is needed. For inspecting large files. If the file is truncated
        /// while it is open, reading what is gone is an error.
        case onDemand
    }

    /// The tensors in the order of their data.
    public let tensors: [TensorDescription]
    /// The file's `__metadata__`; empty if there is none.
    public let metadata: [String: String]

    private let contents: FileBytes
    private let entries: [String: SafetensorsHeader.Entry]
    private let dataStart: Int

    /// Opens and checks the file at `path`.
    ///
    /// - Throws: `FileError`, or `CheckpointError` with the path in front.
    public init(path: String, access: Access = .load) throws {
        let contents =
            switch access {
            case .load: try FileBytes.loading(path: path)
            case .onDemand: try FileBytes.opening(path: path)
            }
        self = try CheckpointError.locating(in: path) { try Self(contents) }
    }

    /// Checks a file that is already in memory; the bytes are copied.
    ///
    /// - Throws: `CheckpointError`.
    public init(bytes: [UInt8]) throws { try self.init(FileBytes.copying(bytes)) }

    /// Checks a file that is a constant of the executable; nothing is copied.
    ///
    /// - Parameter staticBytes: memory that is never freed or changed while the process lives.
    /// - Throws: `CheckpointError`.
    public init(staticBytes: UnsafeRawBufferPointer) throws { try self.init(FileBytes.borrowing(staticBytes)) }

    private init(_ contents: FileBytes) throws {
        let header = try SafetensorsHeader(of: contents)
        self.contents = contents
        tensors = header.entries.map(\.description)
        metadata = header.metadata
        entries = Dictionary(header.entries.map { ($0.description.name, $0) }) { $1 }
        dataStart = header.dataStart
    }

    /// The file's length in bytes.
    public var byteCount: Int { contents.count }

    /// The description of a tensor; nil if there is none of that name.
    public subscript(name: String) -> TensorDescription? { entries[name]?.description }

    /// Calls `body` with a tensor's bytes: row-major, little endian, not necessarily aligned, valid during the call only.
    ///
    /// - Throws: `CheckpointError` of kind `missing`, and what `body` throws.
    public func withUnsafeBytes<R>(of name: String, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        guard let range = entries[name]?.range else {
            throw CheckpointError(.missing, "the tensor \(quoted(name)) is missing")
        }
        // The range was checked against the file's length, so that these sums stay below it.
        return try contents.withUnsafeBytes(in: dataStart + range.lowerBound..<dataStart + range.upperBound, body)
    }

    /// A tensor's numbers as f32, row-major; see `ElementType.convertToFloats(_:into:)`.
    ///
    /// - Throws: `CheckpointError` if there is no such tensor or it isn't of a floating-point type.
    public func floats(of name: String) throws -> [Float] {
        let count = self[name]?.count ?? 0
        return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            let destination = UnsafeMutableBufferPointer(rebasing: buffer[..<count])
            try withUnsafeBytes(of: name) { bytes in
                try CheckpointError.locating(in: "tensor \(quoted(name))") {
                    try self[name]?.type.convertToFloats(bytes, into: destination)
                }
            }
            initialized = count
        }
    }

    /// The SHA-256 digest of the whole file, computed when it is first needed, at some hundred megabytes a second.
    ///
    /// - Throws: `FileError` if the file is read on demand and can't be.
    public var sha256: SHA256.Digest { get throws { try contents.sha256 } }
}
