import CheckpointFormats
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
            let tensor = try TensorDescription(name: "a", type: .f32, shape: [1])
            #expect(throws: CancellationError.self) {
                try SafetensorsWriter.write([tensor], to: target.path) { _ in throw CancellationError() }
            }
            #expect(try Data(contentsOf: target) == Data("old".utf8))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
        }
    }

    @Test("that can't take its place says so and leaves what is there") func targetIsFolder() throws {
        try withTemporaryFolder { folder in
            let target = folder.appending(path: "model")
            try FileManager.default.createDirectory(at: target, withIntermediateDirectories: false)
            #expect(throws: CheckpointError.self) {
                let file = try AtomicFile(path: target.path)
                try file.commit()
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
        }
    }

    @Test("needs a folder and a name", arguments: ["/nonexistent/model", "/tmp/", "", ".", "a\0b"])
    func impossiblePath(path: String) {
        #expect(throws: CheckpointError.self) { _ = try AtomicFile(path: path) }
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
                let tensor = try TensorDescription(name: "a", type: .f32, shape: [10_000])
                let error = #expect(throws: CheckpointError.self) {
                    try SafetensorsWriter.write([tensor], to: target.path) { tensor in
                        .floats(Array(repeating: 1, count: tensor.count))
                    }
                }
                #expect(error?.kind == .inputOutput)
                #expect(try Data(contentsOf: target) == Data("old".utf8))
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
            }
        }
    }
}
