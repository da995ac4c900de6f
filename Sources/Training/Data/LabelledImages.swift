import Digests
import Files
import Glibc
import ImagePipeline
import UntrustedText

/// Images with a class each: a folder, a tar archive or a zip archive, with a class folder for each image or a table of labels.
///
/// The class of `test/airplane/0000.jpg` is `airplane`, the last folder in its path, unless a table says otherwise. A
/// folder whose name is not UTF-8 gives its class a name with escapes, such as `caf\xE9`. Any image may be read at any time from any
/// thread. Opening the set reads names only, but unpacks a compressed archive to a temporary file.
package struct LabelledImages: Sendable {
    package struct Item: Sendable, Equatable {
        /// Its path inside the folder or archive, with code points that stand for bytes that are not UTF-8.
        package let path: String
        /// The index of its class in `classes`; 0 if classes are ignored.
        package let label: Int
        /// Where its bytes are in the archive; nil in a folder.
        fileprivate let place: ImageArchive.Place?
    }

    package let path: String
    /// Class names in the order of their bytes, each at the index that is its label; none if classes are ignored.
    package private(set) var classes: [String]
    /// Whether they are the images of some classes only: those that ``restricted(to:)`` named.
    package private(set) var isRestricted = false
    /// The images, sorted by path.
    package private(set) var items: [Item]
    package private(set) var skipped: SkippedEntries
    /// The first few images that the table of labels doesn't name.
    package private(set) var firstUnlisted: [String] = []

    /// The formats that its images are of.
    package let formats: ImageFormats

    private let source: Source

    private enum Source {
        case folder(String)
        case archive(ImageArchive)
    }

    /// Opens the folder or archive at `path`.
    ///
    /// - Parameters:
    ///   - ignoringClasses: takes all images, in any folder, since pretraining needs no classes.
    ///   - labels: the class of every image instead of its folder; images that it doesn't name are left out.
    ///   - links: which links in a folder are followed.
    ///   - formats: whose images are taken.
    /// - Throws: `DataSetError` if it can't be read, is a damaged archive, contains no image to take, lacks an image that `labels`
    ///   names, has a class name that no model can have, or if there is no room to unpack it.
    package init(
        at path: String, ignoringClasses: Bool = false, labels: ImageLabels? = nil,
        following links: FollowedLinks = .insideFolder, formats: ImageFormats = .standard
    ) throws(DataSetError) {
        self.path = path
        self.formats = formats
        var skipped = SkippedEntries(formats: formats)
        let found: [Found]
        if try ImageFiles.isFolder(path) {
            source = .folder(path)
            found = try FolderImages(in: path, following: links, skipped: &skipped).relativePaths
                .map { Found(path: $0, place: nil) }
        } else {
            let archive = try ImageArchive(at: path) { name in Self.isImage(name, &skipped) }
            source = .archive(archive)
            skipped.special += archive.specialCount
            found = Self.images(in: archive)
        }
        self.skipped = skipped
        items = []
        classes = []
        if ignoringClasses {
            guard !found.isEmpty else {
                throw DataSetError("\(path): contains no \(formats.suffixes) (\(skipped))")
            }
            items = found.map { Item(path: String(pathBytes: $0.path), label: 0, place: $0.place) }
        } else if let labels {
            try takeLabels(labels, of: found)
        } else {
            try takeFolders(of: found)
        }
    }

    private struct Found {
        let path: [UInt8]
        let place: ImageArchive.Place?
    }

    /// Labels images by the folders that contain them.
    private mutating func takeFolders(of found: [Found]) throws(DataSetError) {
        var classNames: [[UInt8]: String] = [:]
        var foldersOfNames: [String: [UInt8]] = [:]
        var labelled: [(image: Found, name: String)] = []
        for image in found {
            guard let folder = Self.folderName(of: image.path) else { continue }
            let name: String
            if let known = classNames[Array(folder)] {
                name = known
            } else {
                name = try className(folder)
                classNames[Array(folder)] = name
                if let other = foldersOfNames.updateValue(Array(folder), forKey: name),
                    [other, Array(folder)].contains(where: { String(validating: $0, as: UTF8.self) == nil })
                {
                    throw DataSetError(
                        "\(path): two class folders, one of a name that is not UTF-8, would both be called "
                            + "\(listed([name])); rename one")
                }
            }
            labelled.append((image, name))
        }
        skipped.unlabelled = found.count - labelled.count
        guard !labelled.isEmpty else {
            throw DataSetError(
                "\(path): contains no \(formats.suffixes) inside a class folder, such as airplane/0000.jpg (\(skipped))"
            )
        }
        take(labelled)
    }

    /// Labels images by a table.
    private mutating func takeLabels(_ labels: ImageLabels, of found: [Found]) throws(DataSetError) {
        try labels.requirePaths(Set(found.map(\.path)), of: path)
        var labelled: [(image: Found, name: String)] = []
        for image in found {
            if let name = labels.label(of: image.path) {
                labelled.append((image, name))
            } else {
                skipped.unlisted += 1
                if firstUnlisted.count < 5 { firstUnlisted.append(String(pathBytes: image.path)) }
            }
        }
        guard !labelled.isEmpty else {
            throw DataSetError("\(path): contains no \(formats.suffixes) that \(labels.path) names (\(skipped))")
        }
        take(labelled)
    }

    private mutating func take(_ labelled: [(image: Found, name: String)]) {
        classes = Set(labelled.map(\.name)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let labels = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
        items = labelled.map { image, name in
            Item(path: String(pathBytes: image.path), label: labels[name]!, place: image.place)
        }
    }

    /// The name of the class of a folder, whose name's bytes are given.
    private func className(_ folder: ArraySlice<UInt8>) throws(DataSetError) -> String {
        let name = String(validating: folder, as: UTF8.self) ?? printable(String(pathBytes: folder))
        guard name.isStreamSafe else {
            throw DataSetError(
                "\(path): the class folder \(shown(name, atMost: 120)) has over 30 combining characters in a row; rename it"
            )
        }
        return name
    }

    /// The images of some classes only, labelled as if there were no others.
    ///
    /// - Parameter names: in any order.
    /// - Throws: `DataSetError` that lists the classes if one of the names is not among them.
    package func restricted(to names: [String]) throws(DataSetError) -> LabelledImages {
        if let unknown = names.first(where: { !classes.contains($0) }) {
            throw DataSetError("\(path): has no class \(listed([unknown])); it has " + listed(classes))
        }
        var result = self
        result.classes = classes.filter { names.contains($0) }
        result.isRestricted = true
        let labels = Dictionary(uniqueKeysWithValues: result.classes.enumerated().map { ($1, $0) })
        result.items = items.compactMap { item in
            labels[classes[item.label]].map { Item(path: item.path, label: $0, place: item.place) }
        }
        return result
    }

    /// What its images may be, when they are decoded.
    package var limits: ImageLimits { ImageLimits(formats: formats) }

    /// The encoded bytes of the image at an index of `items`.
    ///
    /// - Throws: `DataSetError` if they can't be read or are more than `maximumBytes`.
    package func bytes(at index: Int, maximumBytes: Int = 128 << 20) throws(DataSetError) -> [UInt8] {
        let item = items[index]
        switch source {
        case .folder(let root):
            return try ImageFiles.bytes(of: root + "/" + item.path, maximumBytes: maximumBytes)
        case .archive(let archive):
            let count = item.place!.byteCount
            guard count <= maximumBytes else {
                throw DataSetError(
                    "\(archive.path): \(item.path) has \(count) bytes, more than the \(maximumBytes) allowed")
            }
            return try archive.bytes(at: item.place!)
        }
    }

    /// SHA-256 over the path and the encoded size of every image. A resumed run recognises its data by it.
    ///
    /// - Throws: `DataSetError` if a file is gone or unreadable.
    package func fingerprint() throws(DataSetError) -> SHA256.Digest {
        var hash = SHA256()
        for item in items { hash.update(item.path.pathBytes + Array("\0\(try byteCount(of: item))\n".utf8)) }
        return hash.finalize()
    }

    private func byteCount(of item: Item) throws(DataSetError) -> Int {
        switch source {
        case .archive: return item.place!.byteCount
        case .folder(let root):
            let path = root + "/" + item.path
            var status = stat()
            guard stat(path.systemPath, &status) == 0 else {
                throw DataSetError("\(path): \(SystemError.last)", kind: .unreadable)
            }
            return Int(status.st_size)
        }
    }

    /// Whether an archive's file is an image to take; what isn't is counted.
    private static func isImage(_ name: [UInt8], _ skipped: inout SkippedEntries) -> Bool {
        let components = ImageLabels.components(of: name)
        guard let last = components.last, !components.contains(where: { $0.first == UInt8(ascii: ".") }) else {
            skipped.hidden += 1
            return false
        }
        return skipped.keeps(fileNamed: last)
    }

    /// The images of an archive, sorted by path. Of several with one path the last counts, as if the archive were unpacked.
    private static func images(in archive: ImageArchive) -> [Found] {
        // By bytes: two names that look alike in Unicode are two files.
        var places: [[UInt8]: ImageArchive.Place] = [:]
        for file in archive.files {
            let components = ImageLabels.components(of: file.name)
            places[Array(components.joined(separator: [UInt8(ascii: "/")]))] = file.place
        }
        return places.map { Found(path: $0.key, place: $0.value) }.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }

    private static func folderName(of path: [UInt8]) -> ArraySlice<UInt8>? {
        path.split(separator: UInt8(ascii: "/")).dropLast().last
    }
}
