import API
import FeatureService
import FoundationEssentials
import ReverseODE

#if canImport(Glibc)
    import Glibc
#endif

/// Takes the features of images, one after another, in whatever form they are to be kept.
@MainActor
protocol FeatureWriter {
    /// Appends an image's.
    func append(_ path: String, _ features: ImageFeatures) throws
    /// Puts what was written in its place.
    func commit() throws
}

/// Text, a few lines an image.
@MainActor
struct LineWriter: FeatureWriter {
    private let file: ResultFile
    private let lines: (_ path: String, ImageFeatures) throws -> String

    /// Writes to the file at `path`, or standard output, first `header` and then an image's `lines`, newlines included.
    init(_ path: String?, header: String = "", lines: @escaping (_ path: String, ImageFeatures) throws -> String) throws
    {
        file = try ResultFile(path)
        self.lines = lines
        try file.write(header)
    }

    func append(_ path: String, _ features: ImageFeatures) throws { try file.write(try lines(path, features)) }

    func commit() throws { try file.commit() }
}

/// A NumPy matrix of one row an image, and beside it a list of the rows' paths.
///
/// The header tells the number of rows, which is known only at the end, since bad images are left out. So rows are first
/// kept in a nameless file beside the matrix, which no crash can leave behind.
@MainActor
final class NumPyWriter: FeatureWriter {
    /// What a matrix's name is followed by in that of its list of paths.
    nonisolated static let listSuffix = ".paths"

    private let path: String
    private let columns: Int
    private let list: ResultFile
    private let rows: NamelessFile
    private let values: (ImageFeatures) -> [Float]
    private var count = 0

    /// - Parameter values: the `columns` numbers of a row.
    init(_ path: String, columns: Int, values: @escaping (ImageFeatures) -> [Float]) throws {
        self.path = path
        self.columns = columns
        self.values = values
        list = try ResultFile(path + Self.listSuffix)
        rows = try NamelessFile(beside: path)
    }

    func append(_ path: String, _ features: ImageFeatures) throws {
        guard !path.utf8.contains(UInt8(ascii: "\n")) else {
            throw ImageTrouble(description: "its path has a line break, which the list of paths can't hold; rename it")
        }
        try rows.append(NumPyArray.bytes(values(features)))
        try list.write(path + "\n")
        count += 1
    }

    /// The matrix comes last: where it is, its list is.
    func commit() throws {
        let file = try ResultFile(path)
        try file.write(NumPyArray.header(rows: count, columns: columns))
        try rows.forEachPart { try file.write($0) }
        try list.commit()
        try file.commit()
    }
}

/// Bytes kept on the disk without a name, so that they are gone when the process is.
@MainActor
final class NamelessFile {
    private let descriptor: Int32
    private let place: String
    private var pending: [UInt8] = []

    private static let bufferSize = 1 << 20

    /// - Throws: `CommandFailure` with status `unwritableOutput`.
    init(beside path: String) throws {
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "./"
        var template = Array("\(folder).headwater-XXXXXX".utf8CString)
        place = path
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw Self.failure(path) }
        unlink(template)
    }

    deinit { close(descriptor) }

    func append(_ bytes: [UInt8]) throws {
        pending += bytes
        if pending.count >= Self.bufferSize { try flush() }
    }

    /// Gives all that was appended, in order.
    func forEachPart(_ body: ([UInt8]) throws -> Void) throws {
        try flush()
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Self.failure(place) }
        var part = [UInt8](repeating: 0, count: Self.bufferSize)
        while true {
            let count = read(descriptor, &part, part.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure(place) }
            guard count > 0 else { return }
            try body(Array(part[..<count]))
        }
    }

    private func flush() throws {
        var rest = pending[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(place) }
            rest = rest.dropFirst(count)
        }
        pending.removeAll(keepingCapacity: true)
    }

    private static func failure(_ path: String) -> CommandFailure {
        CommandFailure(
            status: .unwritableOutput,
            description: "can't keep rows beside \(path): \(String(cString: strerror(errno)))")
    }
}

/// Rows of text formats.
enum TextRow {
    /// One line of JSON.
    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }

    /// One line of CSV, fields quoted where RFC 4180 wants it.
    static func csv(_ fields: [String]) -> String {
        fields.map(quotedIfNeeded).joined(separator: ",") + "\n"
    }

    private static func quotedIfNeeded(_ field: String) -> String {
        guard field.utf8.contains(where: { "\",\r\n".utf8.contains($0) }) else { return field }
        let doubled = field.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
        return "\"\(doubled)\""
    }
}
