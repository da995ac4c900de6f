import UntrustedText

/// One 512-byte header of a tar archive.
struct TarHeader {
    static let size = 512

    /// What a header stands for.
    enum Kind: Equatable {
        case file, folder, sparseFile
        /// Links, devices and pipes, none of which is followed by data whatever its length says.
        case withoutData
        /// A kind unknown here, whose data is passed over.
        case unknown
        /// Entries that describe the next one, or all that follow.
        case longName, longLink, attributes, globalAttributes

        var describesNextEntry: Bool {
            switch self {
            case .longName, .longLink, .attributes, .globalAttributes: true
            default: false
            }
        }

        var hasData: Bool { self != .withoutData && self != .folder }

        init(typeFlag: UInt8) {
            switch typeFlag {
            case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): self = .file
            case UInt8(ascii: "5"): self = .folder
            case UInt8(ascii: "1")...UInt8(ascii: "6"): self = .withoutData
            case UInt8(ascii: "S"): self = .sparseFile
            case UInt8(ascii: "L"): self = .longName
            case UInt8(ascii: "K"): self = .longLink
            case UInt8(ascii: "x"): self = .attributes
            case UInt8(ascii: "g"): self = .globalAttributes
            default: self = .unknown
            }
        }
    }

    let kind: Kind
    /// Bytes of data that follow.
    let length: Int
    private let block: [UInt8]
    private let offset: Int

    /// Reads the block at `offset` of the archive.
    ///
    /// - Throws: `DataSetError` if its checksum or a number in it is wrong; one that names the format if the archive begins
    ///   with another's signature.
    init(_ block: [UInt8], at offset: Int) throws(DataSetError) {
        do throws(DataSetError) {
            try self.init(sound: block, at: offset)
        } catch {
            // Not before: a sound header's first file may have a name that begins like another format.
            guard offset == 0, let name = Self.foreignFormat(block) else { throw error }
            throw DataSetError("this is a \(name) file, not a tar archive; unpack it first")
        }
    }

    private init(sound block: [UInt8], at offset: Int) throws(DataSetError) {
        let stored = try Self.number(block[148..<156], at: offset)
        // The field counts as blanks in its own sum. Some old programs summed signed bytes.
        let others = block[..<148] + block[156...]
        let unsigned = others.reduce(8 * 32) { $0 + Int($1) }
        let signed = others.reduce(8 * 32) { $0 + Int(Int8(bitPattern: $1)) }
        guard stored == unsigned || stored == signed else {
            throw DataSetError(
                offset == 0
                    ? "this is not a tar archive: its first header's checksum is wrong"
                    : "the tar archive is damaged: the checksum of the header at byte \(offset) is wrong")
        }
        kind = Kind(typeFlag: block[156])
        length = try Self.number(block[124..<136], at: offset)
        self.block = block
        self.offset = offset
    }

    /// The name in the header, without the extensions that may precede it.
    func name() -> String {
        let name = Self.text(block[..<100])
        // GNU's own magic differs in the byte that ends it here, and keeps other things in the prefix's place.
        guard block[257..<263].elementsEqual("ustar\0".utf8) else { return name }
        let prefix = Self.text(block[345..<500])
        return prefix.isEmpty ? name : prefix + "/" + name
    }

    /// A name up to the first zero byte, in UTF-8 or not.
    static func text(_ field: ArraySlice<UInt8>) -> String { String(pathBytes: field.prefix { $0 != 0 }) }

    /// The compression or container that a block at an archive's start shows instead of a tar header.
    private static func foreignFormat(_ block: [UInt8]) -> String? {
        let signatures: [(bytes: [UInt8], name: String)] = [
            ([0x1f, 0x8b], "gzip"), ([0x28, 0xb5, 0x2f, 0xfd], "zstd"), ([0xfd, 0x37, 0x7a, 0x58, 0x5a], "xz"),
            ([0x42, 0x5a, 0x68], "bzip2"), ([0x50, 0x4b, 0x03, 0x04], "ZIP"),
        ]
        return signatures.first { block.starts(with: $0.bytes) }?.name
    }

    /// A number in octal, blanks before and a blank or zero byte behind it, or in base 256 where the top bit is set.
    private static func number(_ field: ArraySlice<UInt8>, at offset: Int) throws(DataSetError) -> Int {
        let wrong = DataSetError("the tar archive has a header with a malformed number at byte \(offset)")
        if field.first == 0x80 {
            var value = 0
            for byte in field.dropFirst() {
                guard value <= Int.max >> 8 else { throw wrong }
                value = value << 8 | Int(byte)
            }
            return value
        }
        let digits = field.drop { $0 == UInt8(ascii: " ") }.prefix { $0 != UInt8(ascii: " ") && $0 != 0 }
        if digits.isEmpty { return 0 }
        guard let value = Int(String(decoding: digits, as: UTF8.self), radix: 8), value >= 0 else { throw wrong }
        return value
    }
}
