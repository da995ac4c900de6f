import CheckpointFormats
import Files
import Foundation
import TestFixtures
import Testing

@Suite("Safetensors") struct SafetensorsTests {
    static func file(_ header: String, data: Int = 0) -> [UInt8] {
        littleEndian(UInt64(header.utf8.count)) + Array(header.utf8) + Array(repeating: 7, count: data)
    }

    @Test("files that the reference library wrote are read", arguments: SafetensorsFile.accesses)
    func goldenFile(access: SafetensorsFile.Access) throws {
        let file = try SafetensorsFile(path: TestFixtures.path("models/icfm32.expected.safetensors"), access: access)
        #expect(file["trajectory"]?.shape == [8, 3, 3, 32, 32])
        #expect(file["logits"]?.type == .f32)
        #expect(file["nothing"] == nil)
        let grid = try file.floats(of: "t_span")
        #expect(grid.count == 8 && grid.first == 0 && grid.last == 1)
        #expect(file.byteCount == 347_544)
    }

    @Test("the digest is the file's, computed once", arguments: SafetensorsFile.accesses)
    func digest(access: SafetensorsFile.Access) throws {
        try withTemporaryFile(TestFixtures.bytes("models/icfm32.expected.safetensors")) { path in
            let file = try SafetensorsFile(path: path, access: access)
            let digest = "3867f6d13b9f1552aa7b38e7520f87dec0d24e5f79db94846bca517d81eef3c8"
            #expect(try file.sha256.description == digest)
            // Seen, if it were read again.
            let handle = try FileHandle(forWritingTo: URL(filePath: path))
            try handle.seek(toOffset: 300_000)
            try handle.write(contentsOf: Data("changed".utf8))
            try handle.close()
            #expect(try file.sha256.description == digest)
        }
    }

    @Test("a file that is cut short while it is open gives an error where it is read on demand, and no signal")
    func cutShort() throws {
        try withTemporaryFile(TestFixtures.bytes("models/icfm32.expected.safetensors")) { path in
            let file = try SafetensorsFile(path: path, access: .onDemand)
            #expect(truncate(path, 100_000) == 0)
            let error = #expect(throws: FileError.self) { try file.floats(of: "trajectory") }
            #expect(error?.kind == .unreadable && error?.description.contains("became shorter") == true)
            #expect(throws: FileError.self) { try file.sha256 }
        }
    }

    @Test("a file that another one replaces while it is open is read as it was")
    func replaced() throws {
        try withTemporaryFile(TestFixtures.bytes("models/icfm32.expected.safetensors")) { path in
            let file = try SafetensorsFile(path: path, access: .onDemand)
            let grid = try file.floats(of: "t_span")
            try Data("hello".utf8).write(to: URL(filePath: path), options: .atomic)
            #expect(try file.floats(of: "t_span") == grid)
        }
    }

    @Test("what is written is read, in memory, loaded and on the disk alike") func roundTrip() throws {
        let tensors = try [
            TensorDescription(name: "odd", type: .f16, shape: [3]),
            TensorDescription(name: "scalar \"\\\u{1}é", type: .f32, shape: []),
            TensorDescription(name: "whole", type: .bf16, shape: [2, 16]),
            TensorDescription(name: "none", type: .f32, shape: [0, 4]),
            TensorDescription(name: "count", type: .i64, shape: [1]),
        ]
        let contents: [String: TensorContents] = [
            "odd": .floats([1, 2, -0.5]), tensors[1].name: .floats([42]),
            "whole": .floats((0..<32).map(Float.init)), "none": .floats([]), "count": .bytes(littleEndian(Int64(-1))),
        ]
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "a.safetensors").path
            let metadata = ["b": "{\"x\":1}\n", "a": ""]
            try SafetensorsWriter.write(tensors, metadata: metadata, to: path) { contents[$0.name]! }
            let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
            for file in try [
                SafetensorsFile(bytes: bytes), SafetensorsFile(path: path, access: .load),
                SafetensorsFile(path: path, access: .onDemand),
            ] {
                #expect(file.metadata == metadata)
                #expect(try file.floats(of: "odd") == [1, 2, -0.5])
                #expect(try file.floats(of: tensors[1].name) == [42])
                #expect(try file.floats(of: "whole") == (0..<32).map(Float.init))
                #expect(try file.floats(of: "none") == [])
                #expect(try file.withUnsafeBytes(of: "count") { Array($0) } == Array(repeating: 255, count: 8))
                #expect(file.tensors.map(\.name) == ["whole", "none", "count", tensors[1].name, "odd"])
            }
            #expect((8 + bytes.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }).isMultiple(of: 64))
            try SafetensorsWriter.write(tensors, metadata: metadata, to: path + "2") { contents[$0.name]! }
            #expect([UInt8](try Data(contentsOf: URL(filePath: path + "2"))) == bytes)
        }
    }

    /// Combining characters of two classes in turn, which a comparison by canonical equivalence has to sort.
    static let accents = "a" + String(repeating: "\u{301}\u{323}", count: 100)

    static let hostile: [(String, [UInt8])] = [
        ("nothing", []),
        ("a length only", littleEndian(UInt64(2))),
        ("a length of 2^63", littleEndian(UInt64(1) << 63) + [0x7B, 0x7D]),
        ("the largest length", littleEndian(UInt64.max) + [0x7B, 0x7D]),
        ("a length over the limit", littleEndian(UInt64(100_000_001)) + [0x7B, 0x7D]),
        ("a header that isn't an object", file("[]")),
        ("a header after white space", file(" {}")),
        ("a header with something after it", file("{}x")),
        ("trailing bytes", file("{}", data: 1)),
        ("a bomb of arrays", file("{\"a\":" + String(repeating: "[", count: 100_000))),
        ("a bomb of objects", file(String(repeating: "{\"a\":", count: 100_000))),
        ("a bomb inside the shape", file(entry(shape: String(repeating: "[", count: 100_000)))),
        ("an overlap", file(two("[0,4]", "[2,6]"), data: 6)),
        ("the same place twice", file(two("[0,4]", "[0,4]"), data: 4)),
        ("a name of accents, which would take a minute to look up", file("{\(member(name: accents))}", data: 4)),
        ("metadata of accents", file("{\"__metadata__\":{\"a\":\"\(accents)\"}}")),
        ("a hole", file(two("[0,4]", "[8,12]"), data: 12)),
        ("a hole before the first", file(entry(offsets: "[4,8]"), data: 8)),
        ("a duplicate tensor", file("{\(member(offsets: "[0,4]")),\(member(offsets: "[4,8]"))}", data: 8)),
        ("a duplicate tensor, escaped", file("{\(member()),\(member(name: "\\u0061", offsets: "[4,8]"))}", data: 8)),
        ("a duplicate member", file(#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4)),
        ("duplicate metadata", file(#"{"__metadata__":{"a":"1","a":"2"}}"#)),
        ("metadata that isn't text", file(#"{"__metadata__":{"a":1}}"#)),
        ("two metadata", file(#"{"__metadata__":{},"__metadata__":{}}"#)),
        ("a product that doesn't fit", file(entry(shape: "[2]"), data: 4)),
        ("a product that overflows", file(entry(shape: "[4294967296,4294967296]"), data: 4)),
        ("an overflow hidden by zero", file(entry(shape: "[0,4294967296,4294967296]", offsets: "[0,0]"))),
        ("bytes that overflow", file(entry(shape: "[4611686018427387904]", offsets: "[0,0]"))),
        ("a negative extent", file(entry(shape: "[-1]"), data: 4)),
        ("negative offsets", file(entry(offsets: "[-4,0]"), data: 4)),
        ("descending offsets", file(entry(shape: "[0]", offsets: "[4,0]"), data: 4)),
        ("offsets beyond Int", file(entry(offsets: "[0,9223372036854775808]"), data: 4)),
        ("offsets at the end of Int", file(entry(offsets: "[9223372036854775803,9223372036854775807]"), data: 4)),
        ("one offset", file(entry(offsets: "[4]"), data: 4)),
        ("three offsets", file(entry(offsets: "[0,4,8]"), data: 4)),
        ("a fraction", file(entry(shape: "[1.0]"), data: 4)),
        ("an exponent", file(entry(shape: "[1e0]"), data: 4)),
        ("a leading zero", file(entry(shape: "[01]"), data: 4)),
        ("too many dimensions", file(entry(shape: "[1\(String(repeating: ",1", count: 16))]"), data: 4)),
        ("an unknown dtype", file(entry(type: "F7"), data: 4)),
        ("an unknown member", file(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, data: 4)),
        ("a missing shape", file(#"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#, data: 4)),
        ("a trailing comma", file(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],}}"#, data: 4)),
        ("invalid UTF-8", littleEndian(UInt64(6)) + [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x7D]),
        ("a lone surrogate", file(#"{"\ud800":{}}"#)),
        ("a control character", file("{\"\u{1}\":{}}")),
        ("an unfinished escape", file(#"{"\u12"#)),
        ("an unfinished string", file("{\"abc")),
    ]

    static func member(
        name: String = "a", type: String = "F32", shape: String = "[1]", offsets: String = "[0,4]"
    ) -> String {
        "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}"
    }

    static func entry(type: String = "F32", shape: String = "[1]", offsets: String = "[0,4]") -> String {
        "{\(member(type: type, shape: shape, offsets: offsets))}"
    }

    static func two(_ first: String, _ second: String) -> String {
        "{\(member(offsets: first)),\(member(name: "b", offsets: second))}"
    }

    @Test("hostile and broken files are refused", arguments: hostile.map(Named.init))
    func hostileFile(file: Named<[UInt8]>) {
        #expect(throws: CheckpointError.self) { try SafetensorsFile(bytes: file.value) }
    }

    @Test("a file cut off anywhere is refused") func truncated() throws {
        let bytes = try TestFixtures.bytes("models/otcfm32-cutoff.expected.safetensors")
        for length in stride(from: 0, to: bytes.count, by: 97) {
            #expect(throws: CheckpointError.self) { try SafetensorsFile(bytes: Array(bytes[..<length])) }
        }
    }

    @Test("a header with bytes flipped is read or refused, never worse") func flippedBytes() throws {
        let header = Self.file(Self.two("[0,4]", "[4,8]"), data: 8)
        var generator = SeededGenerator(seed: 2)
        var (tensors, refused) = (0, 0)
        for _ in 0..<5000 {
            var bytes = header
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = generator.next(upperBound: 255)
            }
            do {
                let file = try SafetensorsFile(bytes: bytes)
                for tensor in file.tensors {
                    #expect(try file.withUnsafeBytes(of: tensor.name) { $0.count } == tensor.byteCount)
                    tensors += 1
                }
            } catch is CheckpointError {
                refused += 1
            }
        }
        #expect(tensors > 100 && (1000..<5000).contains(refused), "\(tensors) tensors, \(refused) refused")
    }

    @Test("what isn't a regular file is refused, with its path", arguments: ["/nonexistent", "/dev/zero", "/", "a\0b"])
    func notAFile(path: String) {
        for access in SafetensorsFile.accesses {
            #expect(throws: FileError.self) { try SafetensorsFile(path: path, access: access) }
        }
    }

    @Test("a hostile name can't reach the terminal through an error") func quotedNames() throws {
        let bytes = Self.file(Self.entry(type: "\\u001b[2J"), data: 4)
        let error = #expect(throws: CheckpointError.self) { try SafetensorsFile(bytes: bytes) }
        #expect(error?.description.contains("\u{1B}") == false)
    }

    @Test("the writer refuses contents that don't fit, and two tensors of one name") func writerRefuses() throws {
        let tensor = try TensorDescription(name: "a", type: .f16, shape: [2])
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "a.safetensors").path
            for contents in [TensorContents.floats([1]), .floats([1, 1e6]), .bytes([1])] {
                let error = #expect(throws: CheckpointError.self) {
                    try SafetensorsWriter.write([tensor], to: path) { _ in contents }
                }
                #expect(error?.description.contains("'a'") == true)
            }
            #expect(throws: CheckpointError.self) {
                try SafetensorsWriter.write([tensor, tensor], to: path) { _ in .floats([1, 2]) }
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            #expect(left == [])
        }
    }
}

extension SafetensorsFile {
    static let accesses: [Access] = [.load, .onDemand]
}
