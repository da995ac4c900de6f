import CheckpointFormats
import Files
import UntrustedText

/// A file or folder to import, opened but not yet understood.
struct ImportSource {
    /// As the user gave it.
    let path: String
    /// A PyTorch file; nil for the other kinds.
    let archive: PyTorchArchive?
    /// The tensors at the top of a file; nil if there are none.
    let root: SourceTensors?
    /// A folder; nil for a file.
    let folder: DiffusersFolder?

    /// Opens a PyTorch or safetensors file, or a folder of diffusers.
    ///
    /// - Throws: `FileError` or `CheckpointError`, or `ImportError` if a folder has no configuration.
    init(path: String) throws {
        guard !DiffusersFolder.isFolder(path) else {
            (self.path, archive, root) = (path, nil, nil)
            folder = try DiffusersFolder(path: path)
            return
        }
        guard try Self.isSafetensors(path) else {
            self = try ImportSource(PyTorchArchive(path: path), path: path)
            return
        }
        self.path = path
        (archive, folder) = (nil, nil)
        root = try SourceTensors(SafetensorsFile(path: path, access: .onDemand))
    }

    /// An open PyTorch file.
    ///
    /// - Throws: `CheckpointError` if what is at its top can't be read.
    init(_ archive: PyTorchArchive, path: String) throws {
        self.path = path
        self.archive = archive
        folder = nil
        root = try archive.rootStateDictionary().map { try SourceTensors($0, of: archive) }
    }

    /// The tensors at the top of a file.
    ///
    /// - Throws: `ImportError` if there are none.
    func tensors() throws -> SourceTensors {
        guard let root else { throw ImportError.unusable("\(path): there are no tensors at its top") }
        return root
    }

    /// The last component of the path.
    var fileName: String { path.split(separator: "/").last.map(String.init) ?? path }

    /// The path of another file in the same folder.
    func sibling(_ name: String) -> String { path.dropLast(fileName.count) + name }

    /// The names at the top of a PyTorch file; empty for other sources.
    var topLevelNames: [String] { archive?.topLevelNames ?? [] }

    /// The tensors under a name at the top of a PyTorch file.
    ///
    /// - Throws: `CheckpointError` if there are none.
    func group(_ name: String) throws -> SourceTensors {
        guard let archive else { throw CheckpointError(.missing, "the file has nothing under \(quoted(name))") }
        return try SourceTensors(archive.stateDictionary(name), of: archive)
    }

    private static func isSafetensors(_ path: String) throws -> Bool {
        let file = try RegularFile(path: path)
        // A length of eight bytes, and then a JSON object.
        guard file.byteCount > 8 else { return false }
        return try file.bytes(in: 8..<9) == [UInt8(ascii: "{")]
    }
}
