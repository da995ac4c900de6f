import CheckpointFormats
private import Files
private import Glibc
private import JSON
import UntrustedText

/// The folder that checkpoints may be loaded from at run time, and in it `.headwater`, which is the service's own: the
/// uploads, and the file `current`, which names the checkpoint to start with.
///
/// `current` is replaced atomically, and only by a checkpoint that has passed every check and lies complete on the disk,
/// so that a service killed at any moment starts with the last complete one.
package struct ModelDirectory: Sendable {
    /// The folder's real path.
    package let path: String
    /// Where uploads are to be written before they are handed over; on the same file system as their final place.
    package var uploadDirectory: String { path + "/" + Self.storeName }

    private static let storeName = ".headwater"
    private static let markerName = "current"

    /// What `current` says.
    struct Marker: Codable, Equatable, Sendable {
        /// Relative to the model directory.
        let path: String
        /// The digest that the file must have; nil for a file whose owner may replace it.
        let sha256: String?
        /// The digest of what the program's configuration named when this was activated; nil if that wasn't known.
        var configured: String?
    }

    /// Opens the folder, which must exist and be writable.
    ///
    /// - Throws: `ModelLoadingError`.
    package init(path: String) throws {
        guard let real = Self.realPath(path), Self.isFolder(real) else {
            throw ModelLoadingError(description: "the model directory \(path) is not a folder that can be read")
        }
        self.path = real
        guard makeStore(), access(uploadDirectory.systemPath, W_OK) == 0 else {
            throw ModelLoadingError(
                description: "the model directory \(path) can't be written, which uploads and restarts need: "
                    + "\(SystemError.last)")
        }
    }

    /// Makes the service's own folder if it isn't there: emptying the model directory to fill it again removes it too.
    ///
    /// - Returns: whether it is there, `errno` telling why not.
    @discardableResult
    package func makeStore() -> Bool { mkdir(uploadDirectory.systemPath, 0o700) == 0 || errno == EEXIST }

    /// Finds a file by its path, relative or absolute.
    ///
    /// - Returns: its real path, and that relative to the folder.
    /// - Throws: `outside` for what leads out of the folder, by `..` or by a link; `notFound`.
    func resolve(_ requested: String) throws(CheckpointRefusal) -> (real: String, relative: String) {
        // By bytes: to Swift a slash and a combining character behind it are one character.
        let (slash, folder) = (UInt8(ascii: "/"), (path + "/").utf8)
        guard !requested.isEmpty, !requested.utf8.contains(0),
            !requested.utf8.split(separator: slash).contains(where: { $0.elementsEqual("..".utf8) })
        else { throw .outside(path: requested) }
        let isAbsolute = requested.utf8.first == slash
        guard let real = Self.realPath(isAbsolute ? requested : path + "/" + requested) else {
            // Clients must not learn whether anything exists outside.
            guard !isAbsolute || requested.utf8.starts(with: folder) else { throw .outside(path: requested) }
            throw .notFound(path: requested)
        }
        guard real.utf8.starts(with: folder) else { throw .outside(path: requested) }
        var status = stat()
        guard lstat(real.systemPath, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .notFound(path: requested)
        }
        return (real, String(Substring(real.utf8.dropFirst(folder.count))))
    }

    /// The digest of a file by its path; nil if it can't be read. Reads the whole file.
    func sha256(of path: String) -> String? {
        guard let file = try? resolve(path) else { return nil }
        return try? SafetensorsFile(path: file.real, access: .onDemand).sha256.description
    }

    /// An error's text with the folder's own path removed, so that clients don't learn where the folder is.
    func reason(_ error: any Error) -> String { "\(error)".replacing(path + "/", with: "") }

    // MARK: The checkpoint to start with

    /// What `current` says; nil if there is none.
    ///
    /// - Throws: `ModelLoadingError` if it isn't readable as what this service writes.
    func marker() throws -> Marker? {
        let file = markerPath
        guard RegularFile.exists(file) else { return nil }
        do {
            return try JSONCoder.decode(Marker.self, from: try RegularFile(path: file).bytes(atMost: 1 << 20))
        } catch {
            throw ModelLoadingError(
                description: "\(file) is not readable as the name of a checkpoint; remove it to start with the "
                    + "configured model")
        }
    }

    /// Replaces what `current` says; nil removes it.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    func setMarker(_ marker: Marker?) throws {
        makeStore()
        guard let marker else {
            guard unlink(markerPath.systemPath) == 0 || errno == ENOENT else {
                throw Self.failure("remove", markerPath)
            }
            return try FileDescriptor.flush(uploadDirectory)
        }
        var file = try AtomicFile(path: markerPath)
        try file.write(try JSONCoder.encode(marker))
        try file.commit()
    }

    private var markerPath: String { uploadDirectory + "/" + Self.markerName }

    // MARK: Uploads

    /// Takes over a file that was written to `uploadDirectory`.
    func stage(_ upload: String) throws(CheckpointRefusal) -> String {
        let staged = uploadDirectory + "/.staged-\(String(UInt64.random(in: 0 ... .max), radix: 36))"
        guard rename(upload.systemPath, staged.systemPath) == 0 else { throw .upload(reason: "\(SystemError.last)") }
        return staged
    }

    /// Gives a staged upload its name, once it is on the disk.
    ///
    /// - Returns: its path relative to the folder.
    /// - Throws: `FileError` of kind `unwritable`.
    func keep(staged: String, sha256: String) throws -> String {
        try FileDescriptor.flush(staged)
        let name = Self.storeName + "/\(sha256).safetensors"
        guard rename(staged.systemPath, (path + "/" + name).systemPath) == 0 else {
            throw Self.failure("rename", staged)
        }
        try FileDescriptor.flush(uploadDirectory)
        return name
    }

    /// Drops a staged upload.
    func drop(staged: String) { unlink(staged.systemPath) }

    /// Removes what a killed service left half written.
    func removeLeftovers() { removeUploads { $0.hasPrefix(".") } }

    /// Removes the uploads that are not among `paths`, which are relative to the folder.
    func removeUploads(except paths: [String]) {
        let kept = Set(paths)
        removeUploads { $0.hasSuffix(".safetensors") && !kept.contains(Self.storeName + "/" + $0) }
    }

    private func removeUploads(where isSuperfluous: (String) -> Bool) {
        for name in (try? Folder.names(in: uploadDirectory)) ?? [] {
            let name = String(pathBytes: name)
            // Unlinking fails for folders.
            if isSuperfluous(name) { unlink((uploadDirectory + "/" + name).systemPath) }
        }
    }

    // MARK: System calls

    private static func realPath(_ path: String) -> String? {
        guard let real = realpath(path.systemPath, nil) else { return nil }
        defer { free(real) }
        return String(pathBytes: UnsafeRawBufferPointer(start: real, count: strlen(real)))
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path.systemPath, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func failure(_ action: String, _ path: String) -> FileError {
        FileError(.unwritable, action, path, .last)
    }
}
