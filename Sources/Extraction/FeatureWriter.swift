import FeatureService
import Files

/// Takes the features of images, one after another, and keeps them in a format.
@MainActor
protocol FeatureWriter {
    /// How many images were taken, those left out included.
    var count: Int { get }
    /// How many of them have rows.
    var rows: Int { get }
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

    /// The matrix is put in place after its list, so it never lacks one. The progress file is removed last, so that a killed run
    /// can repeat this.
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
