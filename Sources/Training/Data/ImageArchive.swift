import CArchive
import Files
import Glibc
import UntrustedText

/// The files of an archive, any of which may be read at any time from any thread.
///
/// Files that the archive stores uncompressed are read where they are. The others are unpacked once, into a temporary file: a
/// compressed stream can only be read from its start, and training reads in another order each epoch.
final class ImageArchive: Sendable {
    /// A regular file in the archive.
    struct File: Sendable, Equatable {
        /// Its name, as the archive has it.
        let name: [UInt8]
        let place: Place
    }

    enum Place: Sendable, Equatable {
        /// In the archive.
        case stored(Range<Int>)
        /// In the temporary file.
        case unpacked(Range<Int>)
        /// Nowhere, because they are more than `largestUnpackedFile`.
        case tooLarge(Int)

        var byteCount: Int {
            switch self {
            case .stored(let range), .unpacked(let range): range.count
            case .tooLarge(let count): count
            }
        }
    }

    /// The most bytes of a file that is unpacked, far above those of an image: a few compressed bytes may state terabytes.
    static let largestUnpackedFile = 1 << 30

    let path: String
    /// The files that were wanted, in the archive's order. A name that occurs again replaces the earlier file, as if unpacked.
    let files: [File]
    /// Entries that are neither files nor folders, such as links.
    let specialCount: Int

    private let archive: RegularFile
    private let unpacked: RegularFile?

    /// Opens the archive at `path`.
    ///
    /// - Parameters:
    ///   - isWanted: whether a file is of interest, by its name.
    ///   - temporaryFolder: where compressed files are unpacked to.
    /// - Throws: `DataSetError` if it can't be read, is no archive, damaged or cut off, or if there is no room to unpack it.
    init(
        at path: String, temporaryFolder: String = ImageArchive.temporaryFolder, _ isWanted: ([UInt8]) -> Bool
    ) throws(DataSetError) {
        self.path = path
        archive = try DataSetError.reading { () throws(FileError) in try RegularFile(path: path) }
        let reader = try ArchiveReader(archive)
        // libarchive gives a tar archive's names as they are only if the system's character set is no Unicode, and those of a zip
        // archive only if it is; in Unicode it composes accents, so that two names may become the same.
        let before = reader.isZip ? archive_use_utf8_names() : nil
        defer { if let before { uselocale(before) } }
        var (files, specialCount): ([File], Int) = ([], 0)
        var names: Set<[UInt8]> = []
        var unpacking = Unpacking(path: path, folder: temporaryFolder)
        while let entry = try reader.next() {
            switch entry.kind {
            case .folder: break
            case .special: specialCount += 1
            case .file:
                guard isWanted(entry.name) else { continue }
                guard !reader.isZip || names.insert(entry.name).inserted else {
                    throw DataSetError(
                        "\(path): contains two files of the same name, \(shown(String(pathBytes: entry.name), atMost: 120)); "
                            + "rename one")
                }
                let place: Place =
                    if let range = entry.range { .stored(range) } else { try unpacking.unpack(entry, from: reader) }
                files.append(File(name: entry.name, place: place))
            }
        }
        self.files = files
        self.specialCount = specialCount
        unpacked = try unpacking.contents()
    }

    /// The bytes at a place.
    ///
    /// - Throws: `DataSetError` if they can't be read.
    func bytes(at place: Place) throws(DataSetError) -> [UInt8] {
        try DataSetError.reading { () throws(FileError) in
            switch place {
            case .stored(let range): try archive.bytes(in: range)
            case .unpacked(let range): try unpacked?.bytes(in: range) ?? []
            case .tooLarge(let count):
                throw FileError(.tooLarge, "\(path): contains a file of \(count) bytes, which is not unpacked")
            }
        }
    }

    /// The folder for temporary files that may be large: `TMPDIR`, or `/var/tmp`. `/tmp` is often in memory.
    static var temporaryFolder: String {
        getenv("TMPDIR").map { String(pathBytes: UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? "/var/tmp"
    }
}

/// Files of an archive on their way into a temporary file, which is created for the first of them.
private struct Unpacking {
    let path: String
    let folder: String
    private(set) var file: UnnamedFile?

    mutating func unpack(
        _ entry: ArchiveReader.Entry, from reader: ArchiveReader
    ) throws(DataSetError) -> ImageArchive.Place {
        guard entry.byteCount <= ImageArchive.largestUnpackedFile else { return .tooLarge(entry.byteCount) }
        let file = try openFile()
        let start = file.byteCount
        try reader.read { bytes throws(DataSetError) in
            guard file.byteCount - start + bytes.count <= entry.byteCount else {
                throw DataSetError("\(path): a file is longer than the archive says; the archive is damaged")
            }
            do throws(FileError) {
                try file.write(bytes)
            } catch {
                throw noRoom(error)
            }
        }
        guard file.byteCount - start == entry.byteCount else {
            throw DataSetError("\(path): a file is shorter than the archive says; the archive is damaged")
        }
        return .unpacked(start..<file.byteCount)
    }

    private mutating func openFile() throws(DataSetError) -> UnnamedFile {
        if let file { return file }
        do throws(FileError) {
            let new = try UnnamedFile(in: folder)
            file = new
            return new
        } catch {
            throw noRoom(error)
        }
    }

    /// The temporary file; nil if nothing was unpacked.
    func contents() throws(DataSetError) -> RegularFile? {
        try DataSetError.reading { () throws(FileError) in try file?.contents() }
    }

    private func noRoom(_ error: FileError) -> DataSetError {
        DataSetError(
            "\(path): is compressed, so its images are unpacked to a temporary file: \(error); set TMPDIR to a folder with "
                + "more room, or give an uncompressed tar archive or a folder",
            kind: .unreadable)
    }
}
