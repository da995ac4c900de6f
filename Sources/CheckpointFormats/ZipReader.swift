import CZip
import UntrustedText

/// Reads whole entries of a zip archive. Only stored entries are read, as `torch.save` writes them, so nothing can decompress to
/// more than the file's own length.
final class ZipReader {
    /// The most entries that an archive may have.
    static let mostEntries = 1_000_000

    /// An entry's place in the archive and its length.
    struct Entry: Equatable {
        let index: UInt64
        let byteCount: Int
        /// Why the entry can't be read; nil if it can.
        let obstacle: String?
    }

    let entries: [String: Entry]
    private let archive: OpaquePointer

    /// Opens the archive at `path`.
    ///
    /// - Parameter byteCount: the file's length, which no entry may exceed.
    /// - Throws: `CheckpointError`.
    init(path: String, byteCount: Int) throws {
        var code: Int32 = 0
        guard let archive = zip_open(path.systemPath, ZIP_RDONLY, &code) else {
            var error = zip_error_t()
            zip_error_init_with_code(&error, code)
            defer { zip_error_fini(&error) }
            throw CheckpointError(
                .malformed,
                "it is not a complete zip archive (\(String(cString: zip_error_strerror(&error)))); "
                    + "the file may be truncated or damaged")
        }
        do {
            entries = try Self.list(archive, archiveByteCount: byteCount)
        } catch {
            zip_discard(archive)
            throw error
        }
        self.archive = archive
    }

    deinit { zip_discard(archive) }

    private static func list(_ archive: OpaquePointer, archiveByteCount: Int) throws -> [String: Entry] {
        let count = zip_get_num_entries(archive, 0)
        guard count <= mostEntries else {
            throw CheckpointError(.limitExceeded, "the zip archive has \(count) entries")
        }
        var entries: [String: Entry] = [:]
        for index in 0..<zip_uint64_t(max(count, 0)) {
            var status = zip_stat_t()
            guard zip_stat_index(archive, index, 0, &status) == 0,
                let rawName = zip_get_name(archive, index, zip_flags_t(ZIP_FL_ENC_RAW)),
                let name = String(validatingCString: rawName), name.isStreamSafe
            else { throw CheckpointError(.malformed, "entry \(index) of the zip archive is damaged") }
            let entry = Entry(
                index: index, byteCount: Int(clamping: status.size),
                obstacle: obstacle(status, archiveByteCount: archiveByteCount))
            guard entries.updateValue(entry, forKey: name) == nil else {
                throw CheckpointError(.malformed, "the zip archive has two entries \(quoted(name))")
            }
        }
        return entries
    }

    private static func obstacle(_ status: zip_stat_t, archiveByteCount: Int) -> String? {
        let needed = zip_uint64_t(
            ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD)
        guard status.valid & needed == needed else { return "its length is unknown" }
        guard Int32(status.encryption_method) == ZIP_EM_NONE else { return "it is encrypted" }
        guard Int32(status.comp_method) == ZIP_CM_STORE else {
            return "it is compressed, which torch.save never does; load and save the checkpoint again with torch"
        }
        guard status.size == status.comp_size, status.size <= archiveByteCount else {
            return "it claims \(status.size) bytes in an archive of \(archiveByteCount)"
        }
        return nil
    }

    /// An entry's bytes, their checksum verified.
    ///
    /// - Throws: `CheckpointError` naming the entry.
    func read(_ name: String) throws -> [UInt8] {
        try CheckpointError.locating(in: "zip entry \(quoted(name))") {
            guard let entry = entries[name] else { throw CheckpointError(.missing, "the entry is missing") }
            if let obstacle = entry.obstacle { throw CheckpointError(.unsupported, obstacle) }
            guard let file = zip_fopen_index(archive, entry.index, 0) else {
                throw CheckpointError(.malformed, String(cString: zip_strerror(archive)))
            }
            defer { zip_fclose(file) }
            return try read(file, byteCount: entry.byteCount)
        }
    }

    private func read(_ file: OpaquePointer, byteCount: Int) throws -> [UInt8] {
        var end = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
            while filled < byteCount {
                let received = zip_fread(file, buffer.baseAddress! + filled, zip_uint64_t(byteCount - filled))
                guard received > 0 else { return }
                filled += Int(received)
            }
            // libzip compares the checksum when it reads the end.
            var beyond: UInt8 = 0
            end = Int(zip_fread(file, &beyond, 1))
        }
        guard bytes.count == byteCount, end == 0 else {
            throw CheckpointError(
                .malformed,
                "\(bytes.count) of \(byteCount) bytes could be read (\(String(cString: zip_file_strerror(file)))); the "
                    + "file is damaged, or was saved after torch.serialization.set_crc32_options(False)")
        }
        return bytes
    }
}
