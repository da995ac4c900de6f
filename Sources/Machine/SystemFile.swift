import Glibc

/// The small text files in which the kernel describes the machine.
enum SystemFile {
    /// The first 4 KiB; nil if the file can't be opened.
    static func text(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}

extension String {
    /// The first line.
    var trimmedLine: Substring { prefix { $0 != "\n" } }
}
