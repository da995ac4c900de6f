import Digests
import UntrustedText

/// The class of each image from a table: comma-separated values with a column `path` and a column `label`.
///
/// The first line names the columns; other columns are ignored. Paths are relative to the data set, with or without `./` in
/// front. A label is UTF-8.
package struct ImageLabels: Sendable {
    package let path: String
    /// SHA-256 of the file. A resumed run recognises its labels by it.
    package let fingerprint: SHA256.Digest

    private struct Row {
        let line: Int
        let path: [UInt8]
        let label: String
    }

    private let rows: [Row]
    private let places: [[UInt8]: Int]

    package static let maximumBytes = 1 << 30

    /// Reads the table at `path`.
    ///
    /// - Throws: `DataSetError` if it can't be read or isn't such a table, naming the line.
    package init(at path: String) throws(DataSetError) {
        try self.init(try ImageFiles.bytes(of: path, maximumBytes: Self.maximumBytes), path: path)
    }

    /// Reads a table; `path` is for messages.
    ///
    /// - Throws: `DataSetError` naming the line at fault.
    init(_ bytes: [UInt8], path: String) throws(DataSetError) {
        self.path = path
        fingerprint = SHA256.hash(bytes)
        do throws(CommaSeparatedValues.Fault) {
            rows = try Self.rows(of: bytes)
            var places: [[UInt8]: Int] = [:]
            for (index, row) in rows.enumerated() {
                if let earlier = places.updateValue(index, forKey: row.path) {
                    throw CommaSeparatedValues.Fault(
                        line: row.line,
                        problem: "\(String(pathBytes: row.path)) has a label already in line \(rows[earlier].line)")
                }
            }
            self.places = places
        } catch {
            throw DataSetError("\(path): \(error)")
        }
        guard !rows.isEmpty else { throw DataSetError("\(path): has no line after the one that names the columns") }
    }

    /// The label of the image of that path in the data set; nil if the table doesn't name it.
    func label(of path: [UInt8]) -> String? { places[path].map { rows[$0].label } }

    /// Checks that a data set has every image that the table names.
    ///
    /// - Throws: `DataSetError` naming the first few that it hasn't.
    func requirePaths(_ paths: Set<[UInt8]>, of dataSet: String) throws(DataSetError) {
        let unknown = rows.filter { !paths.contains($0.path) }
        guard !unknown.isEmpty else { return }
        let first = unknown.prefix(5).map { "\(String(pathBytes: $0.path)) (line \($0.line))" }
        throw DataSetError(
            "\(path): \(unknown.count) of \(rows.count) paths are not images of \(dataSet): "
                + first.joined(separator: ", ") + (unknown.count > first.count ? ", …" : "")
                + "; give paths inside it, such as airplane/0000.jpg")
    }

    /// The components of a path in a data set, without `.`.
    static func components(of path: [UInt8]) -> [ArraySlice<UInt8>] {
        path.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }
    }

    private static func rows(of bytes: [UInt8]) throws(CommaSeparatedValues.Fault) -> [Row] {
        var table = CommaSeparatedValues(bytes)
        let columns = try Columns(try table.next())
        var rows: [Row] = []
        while let record = try table.next() { rows.append(try row(record, columns)) }
        return rows
    }

    private static func row(
        _ record: CommaSeparatedValues.Record, _ columns: Columns
    ) throws(CommaSeparatedValues.Fault) -> Row {
        func fault(_ problem: String) -> CommaSeparatedValues.Fault {
            CommaSeparatedValues.Fault(line: record.line, problem: problem)
        }
        guard record.fields.count == columns.count else {
            throw fault("has \(record.fields.count) fields, but the first line has \(columns.count)")
        }
        let path = Array(components(of: record.fields[columns.path]).joined(separator: [UInt8(ascii: "/")]))
        guard !path.isEmpty else { throw fault("has no path") }
        guard let label = String(streamSafe: record.fields[columns.label]) else {
            throw fault("the label is not UTF-8, or has over 30 combining characters in a row")
        }
        guard !label.isEmpty else { throw fault("has no label") }
        return Row(line: record.line, path: path, label: label)
    }

    /// The places of the two columns.
    private struct Columns {
        let path: Int
        let label: Int
        let count: Int

        init(_ header: CommaSeparatedValues.Record?) throws(CommaSeparatedValues.Fault) {
            let names = header?.fields ?? []
            func places(_ name: String) -> [Int] { names.indices.filter { names[$0].elementsEqual(name.utf8) } }
            let (paths, labels) = (places("path"), places("label"))
            guard paths.count == 1, labels.count == 1 else {
                throw CommaSeparatedValues.Fault(
                    line: header?.line ?? 1,
                    problem: "must name one column 'path' and one column 'label', as in path,label")
            }
            (path, label, count) = (paths[0], labels[0], names.count)
        }
    }
}
