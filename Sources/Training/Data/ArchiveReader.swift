import CArchive
import Files
import Glibc
import UntrustedText

/// Reads a tar or zip archive by libarchive, from its first entry to its last.
///
/// A tar archive may be compressed by gzip, bzip2, xz or zstd. libarchive has more formats, some of which it reads by starting
/// other programs; those are off.
final class ArchiveReader {
    enum Kind {
        case file, folder
        /// A link, a device or a pipe.
        case special
    }

    struct Entry {
        /// Its name's bytes, as the archive has them.
        let name: [UInt8]
        let kind: Kind
        /// Bytes of the file.
        let byteCount: Int
        /// Where they are in the archive's file; nil if they are compressed.
        let range: Range<Int>?
    }

    private let file: RegularFile
    private let library: archive_library
    private let archive: OpaquePointer
    let isZip: Bool
    /// Where the last entry ends in the archive, decompressed.
    private var end = 0

    /// Begins to read `file`.
    ///
    /// - Throws: `DataSetError` if it is no archive.
    init(_ file: RegularFile) throws(DataSetError) {
        isZip = try Self.isZip(file)
        guard let library = archive_load()?.pointee else {
            throw DataSetError("\(file.path): reading an archive needs libarchive, which this system lacks; install it")
        }
        guard let archive = library.archive_read_new() else {
            throw DataSetError("\(file.path): there isn't enough memory")
        }
        self.file = file
        self.library = library
        self.archive = archive
        let formats =
            isZip
            ? [library.archive_read_support_format_zip_seekable]
            : [
                library.archive_read_support_format_tar, library.archive_read_support_filter_gzip,
                library.archive_read_support_filter_bzip2,
                library.archive_read_support_filter_xz, library.archive_read_support_filter_zstd,
            ]
        // Anything but OK means that this libarchive would start a program to decompress.
        guard formats.allSatisfy({ $0(archive) == ARCHIVE_OK }) else {
            throw DataSetError("\(file.path): the system's libarchive lacks gzip, bzip2, xz or zstd")
        }
        guard library.archive_read_open_fd(archive, file.descriptor.number, 1 << 16) == ARCHIVE_OK else {
            throw failure
        }
    }

    deinit { _ = library.archive_read_free(archive) }

    private static func isZip(_ file: RegularFile) throws(DataSetError) -> Bool {
        try DataSetError.reading { () throws(FileError) in
            try file.bytes(in: 0..<min(2, file.byteCount)) == Array("PK".utf8)
        }
    }

    /// The next entry; nil at the end.
    ///
    /// - Throws: `DataSetError` if the archive is damaged or cut off, or the entry is one that isn't read.
    func next() throws(DataSetError) -> Entry? {
        try skip()
        var found: OpaquePointer?
        switch library.archive_read_next_header(archive, &found) {
        case ARCHIVE_OK: break
        case ARCHIVE_WARN where isConversionWarning: break
        case ARCHIVE_EOF:
            // libarchive also ends where the file does, without the block of zeros that closes a tar archive.
            guard isZip || position - end >= 512 else {
                throw DataSetError("\(file.path): the tar archive ends without its end marker; it is cut off")
            }
            return nil
        default: throw failure
        }
        return try entry(found!)
    }

    private func entry(_ header: OpaquePointer) throws(DataSetError) -> Entry {
        guard
            let name = library.archive_entry_pathname(header).map({
                Array(UnsafeRawBufferPointer(start: $0, count: strlen($0)))
            })
        else { throw DataSetError("\(file.path): entry \(library.archive_file_count(archive)) has no readable name") }
        let kind: Kind =
            if library.archive_entry_hardlink(header) != nil {
                .special
            } else {
                switch library.archive_entry_filetype(header) {
                case S_IFREG: .file
                case S_IFDIR: .folder
                default: .special
                }
            }
        guard library.archive_entry_sparse_count(header) == 0 else {
            throw problem("a sparse file", name, "make it again without --sparse")
        }
        guard library.archive_entry_is_encrypted(header) == 0 else {
            throw problem("an encrypted file", name, "make it again without a password")
        }
        let byteCount = Int(clamping: library.archive_entry_size(header))
        // The header of a sparse file can state a negative size, which libarchive lets through.
        guard byteCount >= 0 else {
            throw problem("a file of \(byteCount) bytes", name, "the archive is damaged")
        }
        let start = position
        guard kind == .file, isStored else { return Entry(name: name, kind: kind, byteCount: byteCount, range: nil) }
        guard byteCount <= file.byteCount - start else {
            throw problem("a file of \(byteCount) bytes, more than are left", name, "the archive is cut off or damaged")
        }
        return Entry(name: name, kind: kind, byteCount: byteCount, range: start..<start + byteCount)
    }

    /// Calls `body` with the current entry's bytes, piece by piece.
    ///
    /// - Throws: `DataSetError` if they are damaged or cut off, and what `body` throws.
    func read(_ body: (UnsafeRawBufferPointer) throws(DataSetError) -> Void) throws(DataSetError) {
        while true {
            var (start, count, offset): (UnsafeRawPointer?, Int, Int64) = (nil, 0, 0)
            switch library.archive_read_data_block(archive, &start, &count, &offset) {
            case ARCHIVE_OK: try body(UnsafeRawBufferPointer(start: start, count: count))
            case ARCHIVE_EOF: return
            default: throw failure
            }
        }
    }

    private func skip() throws(DataSetError) {
        guard library.archive_file_count(archive) > 0 else { return }
        guard library.archive_read_data_skip(archive) >= ARCHIVE_OK else { throw failure }
        end = position
    }

    /// Bytes of the archive, decompressed, that have been read.
    private var position: Int { Int(library.archive_filter_bytes(archive, 0)) }

    /// Whether the current entry's bytes are in the file as they are. For zip, libarchive says so only in the format's name.
    private var isStored: Bool {
        guard isZip else { return library.archive_filter_count(archive) == 1 }
        return library.archive_format_name(archive).map { String(cString: $0).hasSuffix("(uncompressed)") } ?? false
    }

    /// Whether libarchive merely warns that a name isn't of the system's character set: then it gives the name's own bytes.
    /// Up to 3.7, its sentence ends with a full stop.
    private var isConversionWarning: Bool { message.contains("to current locale") && !isZip }

    private var message: String {
        library.archive_error_string(archive).map { String(cString: $0) } ?? "libarchive doesn't say why"
    }

    private var failure: DataSetError {
        guard library.archive_errno(archive) != ENOMEM else {
            return DataSetError("\(file.path): there isn't enough memory")
        }
        guard library.archive_file_count(archive) > 0 else {
            return DataSetError(
                "\(file.path): is neither a folder nor an archive that can be read: a tar archive, which may be compressed by "
                    + "gzip, bzip2, xz or zstd, or a zip archive (\(message))")
        }
        return DataSetError(
            "\(file.path): the archive is damaged or cut off after \(library.archive_file_count(archive)) entries: \(message)"
        )
    }

    private func problem(_ what: String, _ name: [UInt8], _ remedy: String) -> DataSetError {
        DataSetError("\(file.path): contains \(what), \(shown(String(pathBytes: name), atMost: 120)); \(remedy)")
    }
}
