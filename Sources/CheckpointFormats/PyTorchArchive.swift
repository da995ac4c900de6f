import Files
import UntrustedText

/// A checkpoint as `torch.save` has written it since PyTorch 1.6: a zip archive of one pickle, `data.pkl`, which describes
/// objects and tensors, and one entry `data/<key>` for each storage of numbers.
///
/// Opening reads the pickle and no numbers. A tensor's storage is read when its numbers are needed, so what isn't needed, such as
/// an optimizer's state, costs nothing and may even be missing. Not for use from two threads at once.
public final class PyTorchArchive {
    /// The longest `data.pkl` that is read, in bytes.
    public static let largestPickle = 64 << 20

    /// A tensor of a state dict.
    public struct NamedTensor: Sendable, Equatable {
        /// The key in the state dict.
        public let name: String
        /// Its description, already checked against the storage's entry.
        public let tensor: PyTorchTensor
    }

    /// The file's length in bytes.
    public let byteCount: Int

    private let zip: ZipReader
    private let prefix: String
    private let pickle: Pickle
    private var lastStorage: (key: String, bytes: [UInt8])?

    /// Opens the checkpoint at `path`.
    ///
    /// - Throws: `FileError`, or `CheckpointError` with the path in front. For other formats, legacy files included, it says what
    ///   to do.
    public convenience init(path: String) throws {
        let (zip, byteCount) = try CheckpointError.locating(in: path) {
            let byteCount = try Self.requireZip(path)
            return (try ZipReader(path: path, byteCount: byteCount), byteCount)
        }
        try self.init(path: path, zip: zip, byteCount: byteCount)
    }

    private init(path: String, zip: ZipReader, byteCount: Int) throws {
        self.zip = zip
        self.byteCount = byteCount
        (prefix, pickle) = try CheckpointError.locating(in: path) {
            let prefix = try Self.findPrefix(zip.entries)
            let little = Array("little".utf8)
            if let order = zip.entries[prefix + "byteorder"],
                try order.byteCount != little.count || zip.read(prefix + "byteorder") != little
            {
                throw CheckpointError(
                    .unsupported,
                    "its byteorder is not little: it was saved on a big-endian machine, which is not supported")
            }
            let name = prefix + "data.pkl"
            guard let entry = zip.entries[name], entry.byteCount <= Self.largestPickle else {
                throw CheckpointError(.limitExceeded, "\(quoted(name)) is longer than \(Self.largestPickle) bytes")
            }
            let bytes = try zip.read(name)
            return (prefix, try CheckpointError.locating(in: "data.pkl") { try RestrictedUnpickler.load(bytes) })
        }
    }

    /// The names at the top of the checkpoint, such as `model`, `optimizer` and `iteration`; empty if it isn't a dict.
    public var topLevelNames: [String] {
        (pickle.pairs(pickle.root) ?? []).compactMap { pair in
            if case .string(let name) = pair.key { name } else { nil }
        }
    }

    /// The tensors of the state dict under a name at the top of the checkpoint, in its order.
    ///
    /// - Throws: `CheckpointError` if it isn't there, holds something that isn't a tensor, names one twice, or if a
    ///   tensor's description doesn't fit its storage.
    public func stateDictionary(_ name: String) throws -> [NamedTensor] {
        guard let top = pickle.pairs(pickle.root) else {
            throw CheckpointError(
                .unsupported, "the checkpoint is \(pickle.root.typeName), not a dict with \(quoted(name))")
        }
        let values = top.filter { $0.key == .string(name) }
        guard values.count == 1, let members = pickle.pairs(values[0].value) else {
            let found = topLevelNames.prefix(20).map(quoted).joined(separator: ", ")
            throw CheckpointError(
                .missing, "the checkpoint has no state dict under \(quoted(name)); its top-level names are: \(found)")
        }
        return try namedTensors(members, in: quoted(name))
    }

    /// The tensors of a checkpoint that is itself a state dict, in its order; nil if there is no tensor at its top, or a
    /// collection.
    ///
    /// - Throws: `CheckpointError` if there is something else at its top too, or a tensor can't be read; see
    ///   `stateDictionary(_:)`.
    public func rootStateDictionary() throws -> [NamedTensor]? {
        guard let members = pickle.pairs(pickle.root),
            members.contains(where: { if case .tensor = $0.value { true } else { false } }),
            !members.contains(where: { if case .collection = $0.value { true } else { false } })
        else { return nil }
        return try namedTensors(members, in: "the checkpoint")
    }

    /// The tensors of a list in a dict at the top of the checkpoint, such as `shadow_params` in `ema`.
    ///
    /// - Throws: `CheckpointError` if it isn't there, holds something that isn't a tensor, or if a tensor's description doesn't fit
    ///   its storage.
    public func tensorList(_ name: String, in group: String) throws -> [PyTorchTensor] {
        func member(_ name: String, of value: PickleValue) -> PickleValue? {
            pickle.pairs(value)?.last { $0.key == .string(name) }?.value
        }
        let place = "\(quoted(name)) in \(quoted(group))"
        guard let values = member(group, of: pickle.root).flatMap({ member(name, of: $0) }).flatMap(pickle.list) else {
            throw CheckpointError(.missing, "the checkpoint has no list \(place)")
        }
        return try values.enumerated().map { index, value in
            guard case .tensor(let tensor) = value else {
                throw CheckpointError(.unsupported, "\(place) has \(value.typeName) at \(index), not a tensor")
            }
            try CheckpointError.locating(in: "\(place), \(index)") { _ = try check(tensor) }
            return tensor
        }
    }

    private func namedTensors(
        _ members: [(key: PickleValue, value: PickleValue)], in place: String
    ) throws -> [NamedTensor] {
        var names: Set<String> = []
        return try members.map { key, value in
            guard case .string(let key) = key else {
                throw CheckpointError(.malformed, "\(place) has \(key.typeName) as a key")
            }
            guard names.insert(key).inserted else {
                throw CheckpointError(.malformed, "\(place) has \(quoted(key)) twice")
            }
            guard case .tensor(let tensor) = value else {
                throw CheckpointError(.unsupported, "\(quoted(key)) in \(place) is \(value.typeName), not a tensor")
            }
            try CheckpointError.locating(in: quoted(key)) { _ = try check(tensor) }
            return NamedTensor(name: key, tensor: tensor)
        }
    }

    /// A tensor's numbers as f32, row-major; see `ElementType.convertToFloats(_:into:)`.
    ///
    /// - Throws: `CheckpointError` if the storage is missing, damaged or of the wrong length, or the type isn't floating
    ///   point.
    public func floats(of tensor: PyTorchTensor) throws -> [Float] {
        let (layout, entryName) = try check(tensor)
        // Tensors that share a storage follow one another, as do those of flattened parameters.
        if lastStorage?.key != tensor.storage.key {
            lastStorage = nil
            lastStorage = (tensor.storage.key, try zip.read(entryName))
        }
        let bytes = tensor.gather(layout, from: lastStorage!.bytes)
        return try [Float](unsafeUninitializedCapacity: layout.count) { buffer, initialized in
            let destination = UnsafeMutableBufferPointer(rebasing: buffer[..<layout.count])
            try bytes.withUnsafeBytes { try tensor.type.convertToFloats($0, into: destination) }
            initialized = layout.count
        }
    }

    private func check(_ tensor: PyTorchTensor) throws -> (PyTorchTensor.Layout, entryName: String) {
        let layout = try tensor.layout()
        let name = "\(prefix)data/\(tensor.storage.key)"
        guard let entry = zip.entries[name] else {
            throw CheckpointError(.missing, "its numbers, zip entry \(quoted(name)), are missing")
        }
        guard entry.byteCount == layout.storageByteCount else {
            throw CheckpointError(
                .malformed,
                "zip entry \(quoted(name)) has \(entry.byteCount) bytes, not the \(layout.storageByteCount) described")
        }
        return (layout, name)
    }
}

// MARK: - The container

extension PyTorchArchive {
    /// Checks that a file begins as a zip archive, and says what it is otherwise.
    ///
    /// - Returns: the file's length.
    private static func requireZip(_ path: String) throws -> Int {
        let file = try RegularFile(path: path)
        let start = try file.bytes(in: 0..<min(512, file.byteCount))
        guard !start.starts(with: [0x50, 0x4B, 0x03, 0x04]) else { return file.byteCount }
        // PROTO 2 and LONG1, the latter of a number by which PyTorch's own format is known.
        let isPickle = start.starts(with: [0x80, 0x02, 0x8A])
        let isTar = start.count > 262 && start[257..<262].elementsEqual("ustar".utf8)
        if isPickle || isTar {
            throw CheckpointError(
                .unsupported,
                "it has the format that PyTorch wrote before 1.6; save it again with a newer one: "
                    + "torch.save(torch.load(path, map_location='cpu'), path)")
        }
        if start.first == 0x80 {
            throw CheckpointError(
                .unsupported,
                "it is a pickle, and loading it could run code, so nothing was read. If you trust it, save its weights "
                    + "alone; for EDM, run in its repository: python -c \"import pickle, torch; "
                    + "torch.save(pickle.load(open('x.pkl', 'rb'))['ema'].state_dict(), 'x.pt')\"")
        }
        if start.count > 8, start[8] == UInt8(ascii: "{") {
            throw CheckpointError(.unsupported, "it looks like a safetensors file, not a PyTorch checkpoint")
        }
        throw CheckpointError(
            .unsupported, start.isEmpty ? "it is empty" : "it is not a PyTorch checkpoint, which is a zip archive")
    }

    /// The folder in the archive that contains `data.pkl`, with its slash.
    private static func findPrefix(_ entries: [String: ZipReader.Entry]) throws -> String {
        let prefixes = entries.keys.filter { $0.hasSuffix("/data.pkl") }.map { String($0.dropLast("data.pkl".count)) }
        guard prefixes.count == 1, prefixes[0].utf8.count(where: { $0 == UInt8(ascii: "/") }) == 1 else {
            throw CheckpointError(
                .unsupported,
                "it is a zip archive that doesn't hold exactly one FOLDER/data.pkl, so it is not a PyTorch checkpoint")
        }
        guard entries[prefixes[0] + "constants.pkl"] == nil else {
            throw CheckpointError(
                .unsupported,
                "it is a TorchScript program; save its state dict: torch.save({'model': m.state_dict()}, …)")
        }
        return prefixes[0]
    }
}
