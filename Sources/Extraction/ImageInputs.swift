import Console
import Files
import Glibc
import ImagePipeline
import Training
import UntrustedText

/// The images that a command was given: files, folders, lists of paths, and standard input.
package struct ImageInputs: Sendable {
    /// What outputs call the image on standard input, and how it is asked for.
    package static let standardInput = "-"

    private(set) var paths: [String]
    /// What was passed over inside folders.
    let skipped: SkippedEntries
    /// The formats of images in folders.
    let formats: ImageFormats
    /// Paths that led to nothing readable.
    let unreadable: [DataSetError]
    /// The image on standard input, if it is among them.
    private let input: [UInt8]?

    private static let largestList = 1 << 30

    /// Looks the images up, and reads standard input if it is asked for.
    ///
    /// - Parameters:
    ///   - named: files, folders, and `standardInput` at most once.
    ///   - list: a file that lists more paths, which follow; `standardInput` only if that isn't an image.
    ///   - endsInZero: whether the list's paths end in zero bytes instead of line ends.
    ///   - links: which links in folders to follow.
    ///   - formats: whose images to take from folders.
    /// - Throws: `CommandFailure` if the list or standard input can't be read.
    package init(
        _ named: [String], list: String?, endsInZero: Bool, following links: FollowedLinks, formats: ImageFormats
    ) throws {
        self.formats = formats
        let isImage = named.contains(Self.standardInput)
        input = isImage ? try Self.standardInput(atMost: FeatureExtraction.maximumBytes) : nil
        let listed = try list.map { try Self.listed(in: $0, endsInZero: endsInZero) } ?? []
        // In a list it is a file's name.
        let files = ImageFiles(
            named + listed.map { $0 == Self.standardInput ? "./\($0)" : $0 }, following: links,
            asTheyAre: [Self.standardInput], formats: formats)
        paths = files.paths
        skipped = files.skipped
        unreadable = files.unreadable
    }

    /// Keeps those of a shard only.
    mutating func restrict(to shard: Shard) { paths = Array(paths[shard.range(in: paths.count)]) }

    /// The bytes of the image at an index.
    ///
    /// - Throws: `DataSetError` if they can't be read.
    func bytes(at index: Int) throws(DataSetError) -> [UInt8] {
        guard paths[index] == Self.standardInput, let input else {
            return try ImageFiles.bytes(of: paths[index], maximumBytes: FeatureExtraction.maximumBytes)
        }
        guard input.count <= FeatureExtraction.maximumBytes else {
            throw DataSetError(
                "standard input has more than the \(FeatureExtraction.maximumBytes) bytes allowed for an image")
        }
        return input
    }

    /// A fingerprint of the image at an index: a hash of its path, size and modification time, or of the bytes on
    /// standard input.
    func fingerprint(at index: Int) -> UInt64 {
        var checksum = Checksum()
        checksum.add(paths[index].pathBytes)
        if paths[index] == Self.standardInput, let input {
            checksum.add(input)
            return checksum.value
        }
        var status = stat()
        if stat(paths[index].systemPath, &status) == 0 {
            for number in [Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec] {
                withUnsafeBytes(of: number.littleEndian) { checksum.add($0) }
            }
        }
        return checksum.value
    }

    private static func listed(in path: String, endsInZero: Bool) throws -> [String] {
        let bytes: [UInt8]
        if path == standardInput {
            bytes = try standardInput(atMost: largestList)
        } else {
            do throws(SystemError) {
                bytes = try FileDescriptor.contents(of: path, limit: largestList)
            } catch {
                throw CommandFailure(.unreadableInput, "\(path): can't read the list of paths: \(error)")
            }
        }
        guard bytes.count <= largestList else {
            throw CommandFailure(.unusableData, "\(path): a list of paths has at most \(largestList) bytes")
        }
        return paths(in: bytes, endsInZero: endsInZero)
    }

    /// The paths of a list. Empty lines are passed over, and so is a carriage return at a line's end.
    static func paths(in bytes: [UInt8], endsInZero: Bool) -> [String] {
        bytes.split(separator: endsInZero ? 0 : UInt8(ascii: "\n")).compactMap { line in
            let path = !endsInZero && line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            return path.isEmpty ? nil : String(pathBytes: path)
        }
    }

    private static func standardInput(atMost limit: Int) throws -> [UInt8] {
        do throws(SystemError) {
            return try FileDescriptor.standardInput.readToEnd(limit: limit)
        } catch {
            throw CommandFailure(.unreadableInput, "can't read standard input: \(error)")
        }
    }
}
