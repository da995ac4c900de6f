import Files
import Glibc
import UntrustedText

package enum FollowedLinks: Sendable {
    /// Those to a file in the same folder tree, so that nothing outside it is read.
    case insideFolder
    /// All, to files and folders anywhere, except those that lead back to a folder that contains them.
    case all
}

/// The images in a folder and all folders in it, sorted by path.
struct FolderImages {
    /// Paths that begin inside the folder, such as `test/airplane/0000.jpg`, as bytes.
    private(set) var relativePaths: [[UInt8]] = []

    /// Searches the folder at `root`.
    ///
    /// - Throws: `DataSetError` if a folder can't be read.
    init(in root: String, following links: FollowedLinks, skipped: inout SkippedEntries) throws(DataSetError) {
        let root = root.pathBytes
        let finder = EntryFinder(links: links, canonicalRoot: try Self.canonicalPath(root))
        var pending = [PendingFolder(path: [], ancestors: FileIdentity(of: root).map { [$0] } ?? [])]
        while let folder = pending.popLast() {
            for name in try Self.names(in: Self.joined(root, folder.path)) {
                guard name.first != UInt8(ascii: ".") else {
                    skipped.hidden += 1
                    continue
                }
                let path = folder.path.isEmpty ? name : Self.joined(folder.path, name)
                switch finder.kind(of: Self.joined(root, path), below: folder.ancestors) {
                case .folder(let identity):
                    pending.append(PendingFolder(path: path, ancestors: folder.ancestors + [identity]))
                case .file: if skipped.keeps(fileNamed: name) { relativePaths.append(path) }
                case .special: skipped.special += 1
                case .loop: skipped.loops += 1
                }
            }
        }
        relativePaths.sort { $0.lexicographicallyPrecedes($1) }
    }

    private struct PendingFolder {
        let path: [UInt8]
        /// The folder itself and the folders that contain it, to recognise links back to them.
        let ancestors: [FileIdentity]
    }

    private static func joined(_ folder: [UInt8], _ name: [UInt8]) -> [UInt8] {
        folder.last == UInt8(ascii: "/") ? folder + name : folder + [UInt8(ascii: "/")] + name
    }

    private static func names(in folder: [UInt8]) throws(DataSetError) -> [[UInt8]] {
        let folder = String(pathBytes: folder)
        do throws(SystemError) {
            return try Folder.names(in: folder)
        } catch {
            throw DataSetError("\(folder): can't read the folder: \(error)", kind: .unreadable)
        }
    }

    fileprivate static func canonicalPath(_ path: [UInt8]) throws(DataSetError) -> [UInt8] {
        guard let resolved = realpath(path.systemPath, nil) else {
            throw DataSetError("\(String(pathBytes: path)): \(SystemError.last)", kind: .unreadable)
        }
        defer { free(resolved) }
        return Array(UnsafeRawBufferPointer(start: resolved, count: strlen(resolved)))
    }
}

/// A file or folder, whatever path leads to it.
private struct FileIdentity: Equatable {
    private let device: UInt64
    private let number: UInt64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
    }

    /// Nil if there is nothing.
    init?(of path: [UInt8]) {
        var status = stat()
        guard stat(path.systemPath, &status) == 0 else { return nil }
        self.init(status)
    }
}

/// Decides what kind of entry of a folder a path is.
private struct EntryFinder {
    enum Kind {
        case folder(FileIdentity), file, special, loop
    }

    let links: FollowedLinks
    let canonicalRoot: [UInt8]

    func kind(of path: [UInt8], below ancestors: [FileIdentity]) -> Kind {
        var status = stat()
        guard lstat(path.systemPath, &status) == 0 else { return .special }
        let isLink = status.st_mode & S_IFMT == S_IFLNK
        if isLink {
            guard links == .all else { return isInside(path) ? .file : .special }
            guard stat(path.systemPath, &status) == 0 else { return errno == ELOOP ? .loop : .special }
        }
        let identity = FileIdentity(status)
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return isLink && ancestors.contains(identity) ? .loop : .folder(identity)
        case S_IFREG: return .file
        default: return .special
        }
    }

    /// Whether a link leads to a file in the folder that is searched.
    private func isInside(_ link: [UInt8]) -> Bool {
        let slash = UInt8(ascii: "/")
        let root = canonicalRoot.last == slash ? canonicalRoot : canonicalRoot + [slash]
        var status = stat()
        guard let target = try? FolderImages.canonicalPath(link), target.starts(with: root),
            stat(target.systemPath, &status) == 0
        else { return false }
        return status.st_mode & S_IFMT == S_IFREG
    }
}

extension [UInt8] {
    /// A path's bytes as system calls take them.
    fileprivate var systemPath: [CChar] { map { CChar(bitPattern: $0) } + [0] }
}
