import Foundation
import TestFixtures
import Testing

@testable import CheckpointFormats

@Suite("A PyTorch checkpoint") struct PyTorchArchiveTests {
    static func open<R>(_ bytes: [UInt8], _ body: (PyTorchArchive) throws -> R) throws -> R {
        try withTemporaryFile(bytes) { try body(PyTorchArchive(path: $0)) }
    }

    @Test(
        "of the reference is read",
        arguments: [
            ("gvp64-cutoff", 171), ("icfm32", 187), ("icfm64-cutoff", 171), ("otcfm32-cutoff", 189),
            ("pretrained-only-ddp", 126),
        ])
    func golden(name: String, count: Int) throws {
        let archive = try PyTorchArchive(path: TestFixtures.path("models/\(name).pt"))
        #expect(archive.topLevelNames == ["model", "optimizer", "iteration"])
        let state = try archive.stateDictionary("model")
        #expect(state.count == count)
        for entry in state {
            let values = try archive.floats(of: entry.tensor)
            #expect(values.count == entry.tensor.shape.reduce(1, *))
            #expect(firstNonFinite(values) == nil)
        }
    }

    @Test("whose optimizer's numbers are gone is read all the same: nothing touches them")
    func optimizerIsNotRead() throws {
        let archive = try PyTorchArchive(path: TestFixtures.path("models/otcfm32-cutoff.pt"))
        #expect(throws: CheckpointError.self) { try archive.stateDictionary("optimizer") }
        for entry in try archive.stateDictionary("model") { _ = try archive.floats(of: entry.tensor) }
    }

    static func checkpoint(_ change: (inout CheckpointBuilder.Tensor) -> Void) -> [UInt8] {
        var checkpoint = CheckpointBuilder()
        checkpoint.tensors = [.init("a", shape: [2, 3])]
        change(&checkpoint.tensors[0])
        return checkpoint.archive()
    }

    static let views: [(shape: [Int], strides: [Int], expected: [Float])] = [
        ([2, 3], [3, 1], [0, 1, 2, 3, 4, 5]),
        ([3, 2], [1, 3], [0, 3, 1, 4, 2, 5]),
        ([2, 2], [3, 1], [0, 1, 3, 4]),
        ([2, 1, 2], [3, .max, 2], [0, 2, 3, 5]),
        ([1, 3], [99, 2], [0, 2, 4]),
        ([], [], [0]),
        ([0, 3], [3, 1], []),
    ]

    @Test("gives views of a storage in row-major order", arguments: views)
    func stridedViews(shape: [Int], strides: [Int], expected: [Float]) throws {
        let bytes = Self.checkpoint { ($0.shape, $0.strides) = (shape, strides) }
        let values = try Self.open(bytes) { archive in
            try archive.floats(of: archive.stateDictionary("model")[0].tensor)
        }
        #expect(values == expected)
    }

    @Test(
        "whose views reach out of their storage, repeat it or overflow is refused by the tensor's name",
        arguments: [
            ([2, 4], [3, 1]), ([7], [1]), ([2, 3], [4, 1]), ([2, 3], [-3, 1]), ([-2, 3], [3, 1]), ([100], [0]),
            ([.max, 2], [1, 1]), ([2, 2], [.max, .max]), ([2], [.max]), ([2, 3], [3]), ([1 << 62, 4, 0], [0, 0, 0]),
        ] as [([Int], [Int])])
    func impossibleViews(shape: [Int], strides: [Int]) {
        let bytes = Self.checkpoint { ($0.shape, $0.strides) = (shape, strides) }
        let error = #expect(throws: CheckpointError.self) { try Self.open(bytes) { try $0.stateDictionary("model") } }
        #expect(error?.description.contains("'a'") == true)
    }

    @Test(
        "may hold f16, bf16 and f64",
        arguments: [
            ("HalfStorage", 2, [0, 0x3C, 0, 0xC0]), ("BFloat16Storage", 2, [0x80, 0x3F, 0, 0xC0]),
            ("DoubleStorage", 8, littleEndian(1.0.bitPattern) + littleEndian((-2.0).bitPattern)),
        ] as [(String, Int, [UInt8])])
    func otherElementTypes(storage: String, byteCount: Int, numbers: [UInt8]) throws {
        let bytes = Self.checkpoint {
            $0 = .init("a", shape: [2], bytes: numbers)
            $0.storage = (storage, byteCount)
        }
        let values = try Self.open(bytes) { try $0.floats(of: $0.stateDictionary("model")[0].tensor) }
        #expect(values == [1, -2])
    }

    static func zip(
        pickle: [UInt8]? = nil, storage: [UInt8] = Array(repeating: 0, count: 24), method: UInt16 = 0,
        flags: UInt16 = 0, claimedSize: UInt32? = nil, extra: [(String, [UInt8])] = []
    ) -> [UInt8] {
        var checkpoint = CheckpointBuilder()
        checkpoint.tensors = [.init("a", shape: [2, 3])]
        var zip = StoredZip()
        zip.add("archive/data.pkl", pickle ?? checkpoint.pickle())
        zip.add("archive/data/0", storage, method: method, flags: flags, claimedSize: claimedSize)
        for (name, bytes) in extra { zip.add(name, bytes) }
        return zip.finish()
    }

    /// A state dict of one tensor whose storage claims 4 GB.
    static let hugeTensor: [UInt8] = {
        var pickle = PickleAssembler()
        pickle.opcodes("}")
        pickle.string("model")
        pickle.opcodes("}")
        pickle.string("a")
        pickle.tensor(key: "0", count: 1_000_000_000, shape: [1_000_000_000], strides: [1])
        pickle.opcodes("ss.")
        return pickle.bytes
    }()

    /// Files by a part of the reason that they are refused with.
    static let broken: [(String, [UInt8])] = [
        ("empty", []),
        ("PyTorch wrote before 1.6", [0x80, 0x02, 0x8A]),
        ("PyTorch wrote before 1.6", Array(repeating: 0, count: 257) + Array("ustar".utf8) + [0, 0]),
        ("looks like a safetensors file", littleEndian(UInt64(2)) + Array("{}".utf8)),
        ("not a PyTorch checkpoint", Array("hello, this is text".utf8)),
        ("not a complete zip archive", [0x50, 0x4B, 3, 4] + Array(repeating: 0, count: 100)),
        (
            "doesn't hold exactly one FOLDER/data.pkl",
            {
                var zip = StoredZip(); zip.add("a/b", []); return zip.finish()
            }()
        ),
        ("exactly one FOLDER/data.pkl", zip(extra: [("b/data.pkl", [])])),
        ("TorchScript", zip(extra: [("archive/constants.pkl", [])])),
        ("big-endian", zip(extra: [("archive/byteorder", Array("big".utf8))])),
        (
            // Not "claims 4000000000 bytes", which would mean that it had been read.
            "byteorder is not little",
            {
                var zip = StoredZip()
                zip.add("archive/data.pkl", [0x80, 2, 0x4E, 0x2E])
                zip.add("archive/byteorder", Array("little".utf8), claimedSize: 4_000_000_000)
                return zip.finish()
            }()
        ),
        ("two entries", zip(extra: [("archive/x", []), ("archive/x", [])])),
        ("is damaged", zip(extra: [("a" + String(repeating: "\u{301}\u{323}", count: 100), [])])),
        ("20 bytes, not the 24", zip(storage: Array(repeating: 0, count: 20))),
        ("is compressed", zip(method: 8)),
        ("is encrypted", zip(flags: 1)),
        ("claims 4000000000 bytes", zip(pickle: hugeTensor, claimedSize: 4_000_000_000)),
        (
            "no state dict",
            {
                var checkpoint = CheckpointBuilder(); checkpoint.name = "ema"; return checkpoint.archive()
            }()
        ),
        ("not a dict", zip(pickle: [0x80, 2, 0x4E, 0x2E])),
        ("data.pkl: byte 2: 255 is not an opcode", zip(pickle: [0x80, 2, 0xFF])),
    ]

    @Test("that isn't one, or isn't sound, is refused with the reason", arguments: broken.map(Named.init))
    func brokenFile(file: Named<[UInt8]>) {
        let error = #expect(throws: CheckpointError.self) {
            try Self.open(file.value) { archive in
                for entry in try archive.stateDictionary("model") { _ = try archive.floats(of: entry.tensor) }
            }
        }
        #expect(error?.description.contains(file.name) == true, "\(error.map(\.description) ?? "")")
    }

    @Test("with a flipped byte among its numbers fails its checksum") func checksum() {
        var bytes = Self.zip()
        let numbers = bytes.indices.first { bytes[$0...].starts(with: Array("data/0".utf8)) }! + 6
        bytes[numbers + 3] ^= 1
        let error = #expect(throws: CheckpointError.self) {
            try Self.open(bytes) { try $0.floats(of: $0.stateDictionary("model")[0].tensor) }
        }
        #expect(error?.description.contains("archive/data/0") == true)
    }

    @Test("whose state dict holds other things than tensors is refused by their names") func otherValues() {
        var pickle = PickleAssembler()
        pickle.opcodes("}")
        pickle.string("model")
        pickle.opcodes("}")
        pickle.string("epoch")
        pickle.opcodes("K\u{1}ss.")
        let error = #expect(throws: CheckpointError.self) {
            try Self.open(Self.zip(pickle: pickle.bytes)) { try $0.stateDictionary("model") }
        }
        #expect(error?.description.contains("'epoch' in 'model' is an integer") == true)
    }

    @Test("cut off anywhere, or with bytes flipped, is read or refused, never worse") func damaged() throws {
        var checkpoint = CheckpointBuilder()
        checkpoint.tensors = [.init("a", shape: [3]), .init("b", shape: [2, 2])]
        let original = checkpoint.archive()
        var generator = SeededGenerator(seed: 4)
        var damaged = (0..<original.count).map { Array(original[..<$0]) }
        damaged += (0..<2000).map { _ in
            var bytes = original
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            return bytes
        }
        var (tensors, refused) = (0, 0)
        try withTemporaryFolder { folder in
            let file = folder.appending(path: "checkpoint.pt")
            for bytes in damaged {
                try Data(bytes).write(to: file)
                do {
                    let archive = try PyTorchArchive(path: file.path)
                    for entry in try archive.stateDictionary("model") {
                        _ = try archive.floats(of: entry.tensor)
                        tensors += 1
                    }
                } catch is CheckpointError {
                    refused += 1
                }
            }
        }
        #expect(tensors > 100 && refused > original.count, "\(tensors) tensors, \(refused) refused")
    }
}
