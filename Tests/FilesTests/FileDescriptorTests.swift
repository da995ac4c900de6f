import Glibc
import TestFixtures
import Testing

@testable import Files

@Suite("A file descriptor")
struct FileDescriptorTests {
    @Test("gives what a pipe holds up to its end, and one byte more than the limit if there is more")
    func pipe() throws {
        for (limit, expected) in [(10, 5), (5, 5), (4, 5), (2, 3), (0, 1)] {
            var ends: [Int32] = [0, 0]
            try #require(Glibc.pipe(&ends) == 0)
            let (source, target) = (FileDescriptor(ends[0]), FileDescriptor(ends[1]))
            defer { source.close() }
            try target.write([1, 2, 3, 4, 5])
            target.close()
            #expect(try source.readToEnd(limit: limit) == Array([1, 2, 3, 4, 5].prefix(expected)))
        }
    }

    @Test("writes and reads at offsets, and reads less only where the file ends")
    func offsets() throws {
        let scratch = try Scratch()
        let path = try scratch.write([UInt8](repeating: 0, count: 4), to: "file")
        let file = try FileDescriptor(opening: path, O_RDWR)
        defer { file.close() }
        try file.write([7, 8, 9], at: 3)
        var bytes = [UInt8](repeating: 1, count: 5)
        #expect(try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 2) } == 4)
        #expect(bytes == [0, 7, 8, 9, 1])
        try file.truncate(to: 1)
        #expect(try FileDescriptor.contents(of: path, limit: 9) == [0])
    }

    @Test("names the system's reason for a failure")
    func failures() throws {
        #expect(throws: SystemError(code: ENOENT)) { try FileDescriptor(opening: "/nonexistent", O_RDONLY) }
        #expect(throws: SystemError(code: EINVAL)) { try FileDescriptor(opening: "/dev/null\0", O_RDONLY) }
        #expect(throws: SystemError(code: EBADF)) { try FileDescriptor(-1).write([1]) }
        let full = try FileDescriptor(opening: "/dev/full", O_WRONLY)
        defer { full.close() }
        let error = #expect(throws: SystemError.self) { try full.write([1]) }
        #expect(error?.description == "No space left on device")
    }

    @Test("A system call that signals interrupt is made again, and any other failure is not")
    func interruptions() {
        var calls = 0
        let result = uninterrupted { () -> Int in
            calls += 1
            errno = calls < 3 ? EINTR : EIO
            return -1
        }
        #expect(result == -1 && calls == 3 && errno == EIO)
    }
}

@Suite("A folder")
struct FolderTests {
    @Test("lists the names of its entries, hidden ones too")
    func names() throws {
        let scratch = try Scratch()
        for name in ["a", ".b", "c/d"] { try scratch.write([1] as [UInt8], to: name) }
        #expect(Set(try Folder.names(in: scratch.folder.path)) == Set(["a", ".b", "c"].map { Array($0.utf8) }))
        #expect(throws: SystemError(code: ENOENT)) { try Folder.names(in: scratch.path("missing")) }
        #expect(throws: SystemError(code: ENOTDIR)) { try Folder.names(in: scratch.path("a")) }
    }
}

@Suite("A file without a name")
struct UnnamedFileTests {
    @Test("is in no folder, and its contents outlast it")
    func contents() throws {
        let scratch = try Scratch()
        var file: UnnamedFile? = try UnnamedFile(in: scratch.folder.path)
        #expect(try scratch.names() == [])
        for piece in [[1, 2], [], [3]] as [[UInt8]] { try piece.withUnsafeBytes { try file?.write($0) } }
        #expect(file?.byteCount == 3)
        let contents = try file?.contents()
        file = nil
        #expect(try contents?.bytes(in: 1..<3) == [2, 3])
        #expect(throws: FileError.self) { try UnnamedFile(in: scratch.path("missing")) }
    }
}
