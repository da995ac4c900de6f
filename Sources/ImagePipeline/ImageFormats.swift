/// The formats that are decoded where images are read. Those that are left out are refused by their first bytes, so that no decoder
/// sees them.
public struct ImageFormats: Sendable, Hashable, CustomStringConvertible {
    /// The formats, in the order of the table in CImageCodecs, in which messages list them.
    public let members: [ImageFormat]

    /// All formats that can be decoded.
    public static let all = ImageFormats(
        members: Array(
            sequence(state: 0) { index in
                defer { index += 1 }
                return ImageFormat(index: index)
            }))

    /// The formats whose decoders are small, which are decoded unless others are asked for.
    public static let standard = ImageFormats(members: all.members.filter { !$0.isOnDemand })

    private init(members: [ImageFormat]) { self.members = members }

    /// The formats with these names in lower case, in any order.
    ///
    /// - Returns: nil if a name is of no format, or there are no names.
    public init?(optionNames names: [String]) {
        let known = Self.all.members
        guard !names.isEmpty, names.allSatisfy({ name in known.contains { $0.optionName == name } }) else { return nil }
        members = known.filter { names.contains($0.optionName) }
    }

    /// The libraries that decode them, each once.
    public var libraries: [ImageFormat.Library] {
        members.reduce(into: []) { libraries, format in
            if let library = format.library, !libraries.contains(library) { libraries.append(library) }
        }
    }

    /// Whether a format is one of them.
    public func contains(_ format: ImageFormat) -> Bool { members.contains(format) }

    /// The names in lower case with commas between them, such as `jpeg,png`, as an option has them.
    public var description: String { members.map(\.optionName).joined(separator: ",") }
}

extension ImageFormats {
    /// The names for a sentence, such as "JPEG or PNG".
    public var names: String { alternatives(members.map(\.name)) }

    /// The endings of file names for a sentence, such as ".jpg, .jpeg or .png".
    public var suffixes: String { alternatives(members.flatMap(\.suffixes)) }

    /// Whether a file's name, in bytes, ends as those of these formats do, in upper or lower case.
    public func isImageName(_ name: some BidirectionalCollection<UInt8>) -> Bool {
        members.contains { format in
            format.suffixes.contains { suffix in
                name.suffix(suffix.utf8.count).map(lowercased).elementsEqual(suffix.utf8)
            }
        }
    }

    private func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private func alternatives(_ words: [String]) -> String {
        guard let last = words.last, words.count > 1 else { return words.joined() }
        return words.dropLast().joined(separator: ", ") + " or " + last
    }
}
