import Files
import Glibc
import ImagePipeline
import UntrustedText

/// The image files that the paths on a command line mean.
package struct ImageFiles: Sendable {
    /// Paths to read: a file as it was named, whatever its suffix, and a folder's images, sorted by path, in its place.
    package private(set) var paths: [String] = []
    package private(set) var skipped: SkippedEntries
    /// Arguments that lead to nothing readable. The others are complete nevertheless.
    package private(set) var unreadable: [DataSetError] = []

    /// Looks the paths up. Folders are searched with their subfolders.
    ///
    /// - Parameters:
    ///   - names: arguments that are kept as they are, without being looked up.
    ///   - formats: whose images are taken from folders.
    package init(
        _ arguments: [String], following links: FollowedLinks = .insideFolder, asTheyAre names: Set<String> = [],
        formats: ImageFormats = .standard
    ) {
        skipped = SkippedEntries(formats: formats)
        for argument in arguments {
            do throws(DataSetError) {
                let isFolder = names.contains(argument) ? false : try Self.isFolder(argument)
                guard isFolder else {
                    paths.append(argument)
                    continue
                }
                let folder = try FolderImages(in: argument, following: links, skipped: &skipped)
                let prefix = argument.utf8.last == UInt8(ascii: "/") ? argument : argument + "/"
                paths += folder.relativePaths.map { prefix + String(pathBytes: $0) }
            } catch {
                unreadable.append(error)
            }
        }
    }

    /// The bytes of a file.
    ///
    /// - Throws: `DataSetError` if it can't be read, is no regular file or has more than `maximumBytes` bytes.
    package static func bytes(of path: String, maximumBytes: Int) throws(DataSetError) -> [UInt8] {
        try DataSetError.reading { () throws(FileError) in try RegularFile(path: path).bytes(atMost: maximumBytes) }
    }

    static func isFolder(_ path: String) throws(DataSetError) -> Bool {
        var status = stat()
        guard stat(path.systemPath, &status) == 0 else {
            throw DataSetError("\(path): \(SystemError.last)", kind: .unreadable)
        }
        return status.st_mode & S_IFMT == S_IFDIR
    }
}
