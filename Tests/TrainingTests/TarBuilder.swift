import UntrustedText

/// Writes tar archives by hand, so that tests can state things no archiver would.
struct TarBuilder {
    private(set) var bytes: [UInt8] = []

    /// The archive with its end marker.
    var archive: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

    mutating func add(
        _ name: String, _ data: [UInt8] = [], type: Character = "0", prefix: String = "", size: String? = nil,
        magic: String = "ustar\u{0}00"
    ) {
        bytes += Self.header(name, size: size ?? String(data.count, radix: 8), type, prefix, magic)
        bytes += data + [UInt8](repeating: 0, count: (512 - data.count % 512) % 512)
    }

    mutating func addAttributes(_ records: [(key: String, value: String)], type: Character = "x") {
        add("attributes", records.flatMap { Self.record($0.key, $0.value) }, type: type)
    }

    /// A pax record, whose length counts its own digits.
    static func record(_ key: String, _ value: String) -> [UInt8] {
        let rest = " \(key)=\(value)\n".pathBytes
        var length = rest.count
        while String(length).utf8.count + rest.count != length { length = String(length).utf8.count + rest.count }
        return Array("\(length)".utf8) + rest
    }

    private static func header(
        _ name: String, size: String, _ type: Character, _ prefix: String, _ magic: String
    ) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            block.replaceSubrange(offset..<offset + text.pathBytes.count, with: text.pathBytes)
        }
        put(name, at: 0)
        put("0000644", at: 100)
        put(size, at: 124)
        put("        ", at: 148)
        put(String(type), at: 156)
        put(magic, at: 257)
        put(prefix, at: 345)
        seal(&block)
        return block
    }

    /// Writes the checksum that fits the block.
    static func seal(_ block: inout [UInt8]) {
        block.replaceSubrange(148..<156, with: "        ".utf8)
        let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
        block.replaceSubrange(148..<148 + sum.utf8.count, with: sum.utf8)
        block[148 + sum.utf8.count] = 0
    }
}
