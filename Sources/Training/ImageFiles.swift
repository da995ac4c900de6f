import FoundationEssentials
import Glibc

/// The image files that paths on a command line stand for.
public struct ImageFiles: Sendable {
    /// Paths to read: a file as it was named, whatever its suffix, and a folder's images, sorted by path, in its place.
    public private(set) var paths: [String] = []
    /// What was passed over inside folders.
    public private(set) var skipped = SkippedEntries()
    /// Arguments that lead to nothing readable; the others are complete all the same.
    public private(set) var unreadable: [DataSetError] = []

    /// Looks the paths up; folders are searched with all they hold.
    public init(_ arguments: [String]) {
        for argument in arguments {
            do throws(DataSetError) {
                guard try Self.isFolder(argument) else {
                    paths.append(argument)
                    continue
                }
                let folder = try FolderImages(in: argument, skipped: &skipped)
                paths += folder.relativePaths.map { argument.hasSuffix("/") ? argument + $0 : argument + "/" + $0 }
            } catch {
                unreadable.append(error)
            }
        }
    }

    /// The bytes of a file.
    ///
    /// - Throws: `DataSetError` if it can't be read, is no regular file or has more than `maximumBytes` bytes.
    public static func bytes(of path: String, maximumBytes: Int) throws(DataSetError) -> [UInt8] {
        try RandomAccessFile(path: path).bytes(atMost: maximumBytes)
    }

    static func isFolder(_ path: String) throws(DataSetError) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { throw DataSetError("\(path): \(systemMessage())", kind: .unreadable) }
        return status.st_mode & S_IFMT == S_IFDIR
    }
}

/// The images in a folder and all folders in it, sorted by path.
///
/// A link to a file in the folder counts as that file. Links that lead out of it are not followed, so that what is
/// evaluated is what was handed over, nor links to folders, which may form circles.
struct FolderImages {
    /// Paths that begin inside the folder, such as `test/airplane/0000.jpg`.
    private(set) var relativePaths: [String] = []

    init(in root: String, skipped: inout SkippedEntries) throws(DataSetError) {
        let canonicalRoot = try Self.canonicalPath(root)
        var pending = [""]
        while let folder = pending.popLast() {
            for name in try Self.names(in: root + "/" + folder) {
                let path = folder.isEmpty ? name : folder + "/" + name
                if name.hasPrefix(".") {
                    skipped.hidden += 1
                    continue
                }
                switch Self.kind(of: root + "/" + path, inside: canonicalRoot) {
                case .folder: pending.append(path)
                case .file: if skipped.keeps(fileNamed: name) { relativePaths.append(path) }
                case .special: skipped.special += 1
                }
            }
        }
        relativePaths.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private enum Kind {
        case folder, file, special
    }

    private static func kind(of path: String, inside canonicalRoot: String) -> Kind {
        var status = stat()
        guard lstat(path, &status) == 0 else { return .special }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .folder
        case S_IFREG: return .file
        case S_IFLNK:
            guard let target = try? canonicalPath(path), target.hasPrefix(canonicalRoot + "/"),
                stat(target, &status) == 0, status.st_mode & S_IFMT == S_IFREG
            else { return .special }
            return .file
        default: return .special
        }
    }

    private static func names(in folder: String) throws(DataSetError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw DataSetError("\(folder): the folder can't be read", kind: .unreadable)
        }
    }

    private static func canonicalPath(_ path: String) throws(DataSetError) -> String {
        guard let resolved = realpath(path, nil) else {
            throw DataSetError("\(path): \(systemMessage())", kind: .unreadable)
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
