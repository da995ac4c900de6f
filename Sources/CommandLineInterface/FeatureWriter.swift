import API
import CheckpointFormats
import Digests
import FeatureService
import Files
import JSON
import UntrustedText

#if canImport(Glibc)
    import Glibc
#endif

/// How the features of images are kept.
@MainActor
struct RowFormat {
    /// What an output begins with.
    enum Layout {
        /// These bytes.
        case text(header: [UInt8])
        /// The header of a NumPy matrix with this many columns. A second file lists the paths of its rows.
        case matrix(columns: Int)
    }

    let layout: Layout
    /// An image's row.
    let row: (_ path: String, ImageFeatures) throws -> [UInt8]
}

/// Takes the features of images, one after another, and keeps them in a format.
@MainActor
protocol FeatureWriter {
    /// How many images were taken, those left out included.
    var count: Int { get }
    /// How many of them have rows.
    var rows: Int { get }
    /// Appends an image's features.
    func append(_ path: String, _ features: ImageFeatures, fingerprint: UInt64) throws
    /// Takes in that an image is left out.
    func skip(_ reason: String, fingerprint: UInt64) throws
    /// Puts what was written in its place.
    ///
    /// - Parameter paths: of all images.
    func commit(_ paths: [String]) throws
}

/// Rows of text to standard output.
@MainActor
final class StandardOutputWriter: FeatureWriter {
    private(set) var count = 0
    private(set) var rows = 0
    private let file: ResultFile
    private let format: RowFormat

    init(_ format: RowFormat) throws {
        self.format = format
        file = try ResultFile(nil)
        if case .text(let header) = format.layout { try file.write(header) }
    }

    func append(_ path: String, _ features: ImageFeatures, fingerprint: UInt64) throws {
        try file.write(try format.row(path, features))
        count += 1
        rows += 1
    }

    func skip(_ reason: String, fingerprint: UInt64) { count += 1 }

    func commit(_ paths: [String]) throws { try file.commit() }
}

/// Rows that wait in a progress file until all are there; then the output takes its place, complete and at once.
@MainActor
final class ResumableWriter: FeatureWriter {
    private let path: String
    private let format: RowFormat
    private let progress: ProgressFile

    init(_ path: String, _ format: RowFormat, _ progress: ProgressFile) {
        self.path = path
        self.format = format
        self.progress = progress
    }

    var count: Int { progress.count }
    var rows: Int { progress.rows }

    func append(_ path: String, _ features: ImageFeatures, fingerprint: UInt64) throws {
        try progress.append(.row(try format.row(path, features)), fingerprint: fingerprint)
    }

    func skip(_ reason: String, fingerprint: UInt64) throws {
        try progress.append(.skipped(reason), fingerprint: fingerprint)
    }

    /// The matrix comes last: where it is, its list is. The progress goes only then, so that a run killed in between can
    /// do this again.
    func commit(_ paths: [String]) throws {
        let file = try ResultFile(path)
        var list: ResultFile?
        switch format.layout {
        case .text(let header): try file.write(header)
        case .matrix(let columns):
            try file.write(NumPyArray.header(rows: rows, columns: columns))
            list = try ResultFile(path + PathList.suffix)
        }
        try progress.forEach { index, outcome in
            guard case .row(let bytes) = outcome else { return }
            try file.write(bytes)
            try list?.write(PathList.line(paths[index]))
        }
        try list?.commit()
        try file.commit()
        progress.remove()
    }
}

/// The list of the paths of a matrix's rows, one a line.
///
/// A path with a line break can't stand on one line as it is. As in the lists of sha256sum, its line begins with a
/// backslash, and so does that of a path that itself begins with one. In such a line `\\` stands for a backslash, `\n` for a line
/// feed and `\r` for a carriage return. All other lines are the paths' own bytes.
enum PathList {
    /// What a matrix's name is followed by in that of its list of paths.
    static let suffix = ".paths"

    /// A path's line, its end included.
    static func line(_ path: String) -> [UInt8] {
        let bytes = path.pathBytes
        let end = [UInt8(ascii: "\n")]
        guard bytes.first == UInt8(ascii: "\\") || bytes.contains(where: { "\n\r".utf8.contains($0) }) else {
            return bytes + end
        }
        let escaped = bytes.flatMap { byte -> [UInt8] in
            switch byte {
            case UInt8(ascii: "\\"): Array(#"\\"#.utf8)
            case UInt8(ascii: "\n"): Array(#"\n"#.utf8)
            case UInt8(ascii: "\r"): Array(#"\r"#.utf8)
            default: [byte]
            }
        }
        return [UInt8(ascii: "\\")] + escaped + end
    }
}

/// A path in a row of JSON, which holds Unicode only.
struct PathText {
    /// The path, or, if its bytes aren't UTF-8, a text to be read by people.
    let text: String
    /// The path's bytes in base64, if they aren't UTF-8.
    let bytes: String?

    init(_ path: String) {
        let bytes = path.pathBytes
        let isText = bytes.elementsEqual(path.utf8)
        text = isText ? path : printable(path)
        self.bytes = isText ? nil : String(decoding: Base64.encode(bytes), as: UTF8.self)
    }
}

/// Rows of text formats.
enum TextRow {
    /// One line of JSON.
    static func json(_ value: some Encodable) throws -> [UInt8] {
        try JSONCoder.encode(value) + [UInt8(ascii: "\n")]
    }

    /// One line of CSV, fields quoted where RFC 4180 wants it; the path, which need not be UTF-8, as it is.
    static func csv(path: String, _ fields: [String]) -> [UInt8] {
        let all = [path.pathBytes] + fields.map { Array($0.utf8) }
        return Array(all.map(quotedIfNeeded).joined(separator: [UInt8(ascii: ",")])) + [UInt8(ascii: "\n")]
    }

    private static func quotedIfNeeded(_ field: [UInt8]) -> [UInt8] {
        guard field.contains(where: { "\",\r\n".utf8.contains($0) }) else { return field }
        let quote = UInt8(ascii: "\"")
        return [quote] + field.flatMap { $0 == quote ? [quote, quote] : [$0] } + [quote]
    }
}
