import ImagePipeline

/// Text that stands for a file and isn't it.
enum FileReference: Equatable {
    case dataURI, url, fileName

    /// Looks at no more than the start and the end of the text; nil for anything else, such as base64.
    init?(_ text: some RandomAccessCollection<UInt8>) {
        let scheme = text.prefix(32).prefix(while: Self.isSchemeCharacter)
        let rest = text.dropFirst(scheme.count)
        if rest.first == UInt8(ascii: ":") {
            let name = String(decoding: scheme, as: UTF8.self).lowercased()
            if name == "data" { self = .dataURI; return }
            if name == "blob" || rest.starts(with: "://".utf8) { self = .url; return }
        }
        guard let last = text.lastIndex(where: { $0 > 0x20 }) else { return nil }
        guard ImageFormats.all.isImageName(text[...last]) else { return nil }
        self = .fileName
    }

    /// What is said of the text.
    var description: String {
        switch self {
        case .dataURI: "is a data: URI"
        case .url: "is a URL, which the service doesn't fetch"
        case .fileName: "is a file name, and the service can't read files of its clients"
        }
    }

    /// Those of a URI's scheme (RFC 3986, 3.1).
    private static func isSchemeCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
