import UntrustedText

/// The regular files of a tar archive, by name, offset and length.
///
/// Reads ustar, GNU long names, and pax `path` and `size`. A reader of its own, because evaluation wants any image at
/// any time from many threads, while libarchive only streams from the front.
public struct TarIndex: Sendable {
    /// A regular file in the archive.
    public struct File: Sendable, Equatable {
        /// Its name as the archive gives it, with code points that stand for bytes that are not UTF-8.
        public let name: String
        /// Where its bytes begin in the archive.
        public let offset: Int
        /// How many they are; they lie within the archive.
        public let count: Int
    }

    /// The files in the archive's order; a name that occurs again replaces the earlier file when unpacked.
    public private(set) var files: [File] = []
    /// Entries that are neither files nor folders: links, devices and kinds unknown here.
    public private(set) var specialCount = 0

    /// Indexes an archive held in memory.
    ///
    /// - Throws: `DataSetError` naming the offset of what is damaged, cut off or not supported.
    public init(_ archive: [UInt8]) throws(DataSetError) {
        try self.init(count: archive.count) { range in Array(archive[range]) }
    }

    /// Indexes an archive of `count` bytes, of which `read` gives any range that lies within them.
    init(count: Int, read: (Range<Int>) throws(DataSetError) -> [UInt8]) throws(DataSetError) {
        var offset = 0
        var extensions = Extensions()
        while true {
            guard count - offset >= TarHeader.size else {
                throw DataSetError("the tar archive ends at byte \(count) without its end marker; it is cut off")
            }
            let block = try read(offset..<offset + TarHeader.size)
            if block.allSatisfy({ $0 == 0 }) { return }
            let header = try TarHeader(block, at: offset)
            offset += TarHeader.size

            let length = header.kind.describesNextEntry ? header.length : extensions.length ?? header.length
            guard length <= count - offset || !header.kind.hasData else {
                throw DataSetError(
                    "the tar entry before byte \(offset) claims \(length) bytes, more than are left; it is cut off or "
                        + "damaged")
            }
            let data = offset..<offset + (header.kind.hasData ? length : 0)
            if header.kind.describesNextEntry {
                try extensions.take(header.kind, data, read)
            } else {
                try add(header, extensions, data)
                extensions = Extensions()
            }
            offset = data.upperBound + (TarHeader.size - data.count % TarHeader.size) % TarHeader.size
        }
    }

    private mutating func add(
        _ header: TarHeader, _ extensions: Extensions, _ data: Range<Int>
    ) throws(DataSetError) {
        let name = extensions.name ?? header.name()
        switch header.kind {
        case .sparseFile:
            throw DataSetError(
                "the tar archive holds the sparse file \(shown(name, atMost: 120)); make it again without --sparse")
        case .file where name.utf8.last == UInt8(ascii: "/"), .folder:
            break
        case .file:
            guard !extensions.isSparse else {
                throw DataSetError(
                    "the tar archive holds the sparse file \(shown(name, atMost: 120)); make it again without --sparse")
            }
            files.append(File(name: name, offset: data.lowerBound, count: data.count))
        default:
            specialCount += 1
        }
    }

    /// What entries before a file say about it.
    private struct Extensions {
        /// A long name or a list of attributes beyond this is no honest one.
        static let maximumLength = 1 << 20

        var name: String?
        var length: Int?
        var isSparse = false

        mutating func take(
            _ kind: TarHeader.Kind, _ data: Range<Int>, _ read: (Range<Int>) throws(DataSetError) -> [UInt8]
        ) throws(DataSetError) {
            guard kind != .longLink else { return }
            guard data.count <= Self.maximumLength else {
                throw DataSetError("the tar entry at byte \(data.lowerBound) has a name or attributes over 1 MiB")
            }
            let bytes = try read(data)
            if kind == .longName {
                name = TarHeader.text(bytes[...])
            } else {
                try takeAttributes(bytes[...], at: data.lowerBound, global: kind == .globalAttributes)
            }
        }

        /// Records of the form "LENGTH KEY=VALUE\n", LENGTH counting the whole record.
        private mutating func takeAttributes(
            _ bytes: ArraySlice<UInt8>, at offset: Int, global: Bool
        ) throws(DataSetError) {
            var rest = bytes
            let damaged = DataSetError("the tar archive's pax attributes at byte \(offset) are damaged")
            while !rest.isEmpty {
                guard let space = rest.prefix(20).firstIndex(of: UInt8(ascii: " ")),
                    let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
                    length > space - rest.startIndex + 1, length <= rest.count,
                    rest[rest.startIndex + length - 1] == UInt8(ascii: "\n")
                else { throw damaged }
                let record = rest[(space + 1)..<(rest.startIndex + length - 1)]
                rest = rest.dropFirst(length)
                guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { throw damaged }
                try take(
                    key: String(decoding: record[..<equals], as: UTF8.self), value: record[(equals + 1)...], at: offset,
                    global: global)
            }
        }

        private mutating func take(
            key: String, value: ArraySlice<UInt8>, at offset: Int, global: Bool
        ) throws(DataSetError) {
            guard key == "path" || key == "size" || key.hasPrefix("GNU.sparse.") else { return }
            guard !global else {
                throw DataSetError(
                    "the tar archive sets \(key) for all its files at byte \(offset), which is not supported")
            }
            switch key {
            case "path":
                name = TarHeader.text(value)
            case "size":
                length = Int(String(decoding: value, as: UTF8.self))
                guard let length, length >= 0 else {
                    throw DataSetError("the tar archive's pax size at byte \(offset) is not a number")
                }
            default:
                isSparse = true
            }
        }
    }
}
