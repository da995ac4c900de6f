import Files
import Foundation
import TestFixtures
import Testing

@Suite("An atomic file") struct AtomicFileTests {
    @Test("takes its place whole and leaves nothing else behind") func commit() throws {
        try withTemporaryFolder { folder in
            let target = folder.appending(path: "model")
            try Data("old".utf8).write(to: target)
            var file = try AtomicFile(path: target.path)
            try file.write(Array("ne".utf8))
            #expect(try Data(contentsOf: target) == Data("old".utf8))
            try file.write(Array("w".utf8))
            #expect(file.byteCount == 3)
            try file.commit()
            #expect(try Data(contentsOf: target) == Data("new".utf8))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
        }
    }

    @Test("dropped halfway leaves the old file and nothing else") func dropped() throws {
        try withTemporaryFolder { folder in
            let target = folder.appending(path: "model")
            try Data("old".utf8).write(to: target)
            #expect(throws: CancellationError.self) {
                var file = try AtomicFile(path: target.path)
                try file.write(Array("new".utf8))
                throw CancellationError()
            }
            #expect(try Data(contentsOf: target) == Data("old".utf8))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
        }
    }

    /// Commits a file after a folder has been made, perhaps in its place.
    private static func commit(_ target: URL, afterMaking folder: URL) throws {
        let file = try AtomicFile(path: target.path)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        try file.commit()
    }

    @Test("that can't take its place says so and leaves what is there") func targetIsFolder() throws {
        try withTemporaryFolder { folder throws in
            let target = folder.appending(path: "model")
            #expect(throws: FileError.self) { try Self.commit(target, afterMaking: target) }
            #expect {
                _ = try AtomicFile(path: target.path)
            } throws: { "\($0)".hasSuffix("model is a folder, not a file") }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
        }
    }

    @Test("needs a folder and a name", arguments: ["/nonexistent/model", "/tmp/", "", ".", "a\0b"])
    func impossiblePath(path: String) {
        #expect(throws: FileError.self) { _ = try AtomicFile(path: path) }
    }

    @Test("removes what a killed process left of it, and nothing that is in use")
    func abandoned() throws {
        try withTemporaryFolder { folder in
            func names() throws -> Set<String> {
                Set(try FileManager.default.contentsOfDirectory(atPath: folder.path))
            }
            let target = folder.appending(path: "model").path
            let living = try AtomicFile(path: target)
            let livingName = try #require(try names().first)
            // A file of such a name without a lock is one whose writer has ended.
            let abandoned = ".model.0123456789abcdef.partial"
            let others = [
                ".model.b.0123456789abcdef.partial", ".other.0123456789abcdef.partial", ".model.partial",
                ".model.0123456789abcde.partial", ".model.0123456789abcdeg.partial", "model.0123456789abcdef.partial",
            ]
            for name in others + [abandoned] { try Data("x".utf8).write(to: folder.appending(path: name)) }
            let fifo = ".model.ffffffffffffffff.partial"
            try #require(mkfifo(folder.appending(path: fifo).path, 0o600) == 0)
            let link = ".model.eeeeeeeeeeeeeeee.partial"
            try FileManager.default.createSymbolicLink(
                atPath: folder.appending(path: link).path, withDestinationPath: others[0])

            var file = try AtomicFile(path: target)
            try file.write(Array("new".utf8))
            try file.commit()
            #expect(try names() == Set(others + ["model", livingName, fifo, link]))
            try living.commit()
            #expect(try names() == Set(others + ["model", fifo, link]))
        }
    }

    @Test("may have the longest name there is, of whole characters or not", arguments: ["m", "é", "🏳️‍🌈"])
    func longName(character: Character) throws {
        try withTemporaryFolder { folder in
            var name = String(repeating: character, count: 255 / String(character).utf8.count)
            name += String(repeating: "m", count: 255 - name.utf8.count)
            let file = try AtomicFile(path: folder.path + "/" + name)
            try file.commit()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [name])
        }
    }

    @Test("may be written by many at a time, each taking its place whole")
    func contention() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "headwater-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let target = folder.appending(path: "model").path
        try await withThrowingTaskGroup { group in
            for writer in UInt8(0)..<8 {
                group.addTask {
                    for _ in 0..<10 {
                        var file = try AtomicFile(path: target)
                        try file.write([UInt8](repeating: writer, count: 1000))
                        try file.commit()
                    }
                }
            }
            try await group.waitForAll()
        }
        let bytes = [UInt8](try Data(contentsOf: folder.appending(path: "model")))
        #expect(bytes.count == 1000 && Set(bytes).count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
    }

    @Test("on a full disk fails and leaves the old file") func fileSizeLimit() async {
        // A process of its own, because the limit holds for every file that the process writes.
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 4096, rlim_max: 4096)
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
            try withTemporaryFolder { folder in
                let target = folder.appending(path: "model")
                try Data("old".utf8).write(to: target)
                let error = #expect(throws: FileError.self) {
                    var file = try AtomicFile(path: target.path)
                    try file.write([UInt8](repeating: 1, count: 40_000))
                    try file.commit()
                }
                #expect(error?.kind == .unwritable)
                #expect(try Data(contentsOf: target) == Data("old".utf8))
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
            }
        }
    }
}
