public import Digests
import Glibc

/// Images with a class each: a folder, or an uncompressed tar archive, of class folders.
///
/// The class of `test/airplane/0000.jpg` is `airplane`, the last folder in its path. Opening it reads names only; the
/// images stay where they are and any of them may be read at any time from any thread.
public struct LabelledImages: Sendable {
    /// An image and its class.
    public struct Item: Sendable, Equatable {
        /// Its path inside the folder or archive.
        public let path: String
        /// The index of its class in `classes`; 0 if classes are ignored.
        public let label: Int
        /// Where its bytes lie in the archive; nil in a folder.
        fileprivate let range: Range<Int>?
    }

    /// The folder or archive that was opened.
    public let path: String
    /// Class names in the order of their bytes, each at the index that is its label; none if classes are ignored.
    public private(set) var classes: [String]
    /// Classes that ``restricted(to:)`` has left out, in the order of their bytes.
    public private(set) var classesLeftOut: [String] = []
    /// The images, sorted by path.
    public private(set) var items: [Item]
    /// What was passed over.
    public let skipped: SkippedEntries

    private let source: Source

    private enum Source {
        case folder(String)
        case archive(RandomAccessFile)
    }

    /// Opens the folder or tar archive at `path`.
    ///
    /// - Parameter ignoringClasses: takes all images, wherever they lie, as pretraining can use them.
    /// - Throws: `DataSetError` if it can't be read, is a damaged or compressed archive, or holds no image to take.
    public init(at path: String, ignoringClasses: Bool = false) throws(DataSetError) {
        self.path = path
        var skipped = SkippedEntries()
        let found: [(path: String, range: Range<Int>?)]
        if try ImageFiles.isFolder(path) {
            source = .folder(path)
            found = try FolderImages(in: path, skipped: &skipped).relativePaths.map { ($0, nil) }
        } else {
            let file = try RandomAccessFile(path: path)
            source = .archive(file)
            found = try Self.images(in: file, skipped: &skipped).map { ($0.path, $0.range) }
        }
        guard !ignoringClasses else {
            guard !found.isEmpty else {
                throw DataSetError("\(path): holds no .jpg, .jpeg or .png (\(skipped))")
            }
            items = found.map { Item(path: $0.path, label: 0, range: $0.range) }
            classes = []
            self.skipped = skipped
            return
        }
        let labelled = found.compactMap { image in Self.folderName(of: image.path).map { (image, $0) } }
        skipped.unlabelled = found.count - labelled.count
        guard !labelled.isEmpty else {
            throw DataSetError(
                "\(path): holds no .jpg, .jpeg or .png inside a class folder, such as airplane/0000.jpg (\(skipped))")
        }
        let classes = Set(labelled.map(\.1)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let labels = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
        items = labelled.map { image, name in Item(path: image.path, label: labels[name]!, range: image.range) }
        self.classes = classes
        self.skipped = skipped
    }

    /// The images of some classes only, labelled as if there were no others.
    ///
    /// - Parameter names: in any order.
    /// - Throws: `DataSetError` listing the classes that there are, if one of the names is none of them.
    public func restricted(to names: [String]) throws(DataSetError) -> LabelledImages {
        if let unknown = names.first(where: { !classes.contains($0) }) {
            throw DataSetError(
                "\(path): has no class folder \(EvaluationLabels.listed([unknown])); it has "
                    + EvaluationLabels.listed(classes))
        }
        var result = self
        result.classes = classes.filter { names.contains($0) }
        result.classesLeftOut = (classesLeftOut + classes.filter { !names.contains($0) }).sorted {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
        let labels = Dictionary(uniqueKeysWithValues: result.classes.enumerated().map { ($1, $0) })
        result.items = items.compactMap { item in
            labels[classes[item.label]].map { Item(path: item.path, label: $0, range: item.range) }
        }
        return result
    }

    /// The encoded bytes of the image at an index of `items`.
    ///
    /// - Throws: `DataSetError` if they can't be read or are more than `maximumBytes`.
    public func bytes(at index: Int, maximumBytes: Int = 128 << 20) throws(DataSetError) -> [UInt8] {
        let item = items[index]
        switch source {
        case .folder(let root):
            return try ImageFiles.bytes(of: root + "/" + item.path, maximumBytes: maximumBytes)
        case .archive(let file):
            let range = item.range ?? 0..<0
            guard range.count <= maximumBytes else {
                throw DataSetError(
                    "\(file.path): \(item.path) has \(range.count) bytes, more than the \(maximumBytes) allowed")
            }
            return try file.bytes(in: range)
        }
    }

    /// SHA-256 over the path and the encoded size of every image, by which a resumed run knows its data again.
    ///
    /// - Throws: `DataSetError` if a file is gone or unreadable.
    public func fingerprint() throws(DataSetError) -> SHA256.Digest {
        var hash = SHA256()
        for item in items { hash.update(Array("\(item.path)\0\(try byteCount(of: item))\n".utf8)) }
        return hash.finalize()
    }

    private func byteCount(of item: Item) throws(DataSetError) -> Int {
        switch source {
        case .archive: return item.range?.count ?? 0
        case .folder(let root):
            let path = root + "/" + item.path
            var status = stat()
            guard stat(path, &status) == 0 else { throw DataSetError("\(path): \(systemMessage())", kind: .unreadable) }
            return Int(status.st_size)
        }
    }

    /// The images of an archive, sorted by path; of several with one path the last counts, as if unpacked.
    private static func images(
        in file: RandomAccessFile, skipped: inout SkippedEntries
    ) throws(DataSetError) -> [(path: String, range: Range<Int>)] {
        let index: TarIndex
        do throws(DataSetError) {
            index = try TarIndex(count: file.count, read: file.bytes(in:))
        } catch {
            throw DataSetError("\(file.path): \(error.message)", kind: error.kind)
        }
        skipped.special += index.specialCount
        var ranges: [String: Range<Int>] = [:]
        for entry in index.files {
            let components = entry.name.split(separator: "/").filter { $0 != "." }
            guard let name = components.last, !components.contains(where: { $0.hasPrefix(".") }) else {
                skipped.hidden += 1
                continue
            }
            guard skipped.keeps(fileNamed: name) else { continue }
            ranges[components.joined(separator: "/")] = entry.offset..<entry.offset + entry.count
        }
        return ranges.map { ($0.key, $0.value) }.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    }

    private static func folderName(of path: String) -> String? {
        let components = path.split(separator: "/")
        return components.count > 1 ? String(components[components.count - 2]) : nil
    }
}
