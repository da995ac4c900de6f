import Foundation

/// A folder that exists while `body` runs.
public func withTemporaryFolder<R>(_ body: (URL) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appending(path: "headwater-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}

/// The path of a file of these bytes that exists while `body` runs.
public func withTemporaryFile<R>(_ bytes: [UInt8], _ body: (String) throws -> R) throws -> R {
    try withTemporaryFolder { folder in
        let file = folder.appending(path: "file")
        try Data(bytes).write(to: file)
        return try body(file.path)
    }
}
