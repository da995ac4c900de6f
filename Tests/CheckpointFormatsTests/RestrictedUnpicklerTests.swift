import TestFixtures
import Testing

@testable import CheckpointFormats

@Suite("The restricted unpickler") struct RestrictedUnpicklerTests {
    static func assemble(_ version: UInt8 = 2, _ body: (inout PickleAssembler) -> Void) -> [UInt8] {
        var pickle = PickleAssembler(version: version)
        body(&pickle)
        pickle.opcodes(".")
        return pickle.bytes
    }

    @Test("builds plain data of every allowed kind") func plainData() throws {
        let pickle = try RestrictedUnpickler.load(
            Self.assemble {
                $0.opcodes("}(")
                $0.string("a")
                $0.opcodes("](N")
                $0.raw(0x88, 0x89, 0x4A, 0xFE, 0xFF, 0xFF, 0xFF, 0x4D, 0x34, 0x12, 0x8A, 2, 0, 0x80, 0x8A, 0)
                $0.raw(0x47, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0)
                $0.opcodes("e")
                $0.string("b")
                $0.opcodes("(K\u{1}K\u{2}tu")
            })
        let pairs = try #require(pickle.pairs(pickle.root))
        #expect(pairs.map(\.key) == [.string("a"), .string("b")])
        #expect(
            pickle.collections[1].elements == [
                .none, .boolean(true), .boolean(false), .integer(-2), .integer(0x1234), .integer(-32768), .integer(0),
                .real(1.5),
            ])
        #expect(pickle.collections[2] == PickleCollection(kind: .tuple, elements: [.integer(1), .integer(2)]))
    }

    @Test("understands protocol 4: frames, memoised strings and STACK_GLOBAL") func protocolFour() throws {
        let pickle = try RestrictedUnpickler.load(
            Self.assemble(4) {
                $0.raw(0x95, 1, 0, 0, 0, 0, 0, 0, 0)
                $0.raw(0x8C, 11)
                $0.opcodes("collections")
                $0.raw(0x94, 0x8C, 11)
                $0.opcodes("OrderedDict")
                $0.raw(0x94, 0x93, 0x94)
                $0.opcodes(")R")
                $0.opcodes("}b")
            })
        #expect(pickle.pairs(pickle.root)?.isEmpty == true)
    }

    @Test("reads a tensor, and a parameter made of one") func tensor() throws {
        let pickle = try RestrictedUnpickler.load(
            Self.assemble {
                $0.global("torch._utils", "_rebuild_parameter")
                $0.opcodes("(")
                $0.tensor(storageClass: "HalfStorage", key: "7", count: 12, offset: 2, shape: [2, 5], strides: [5, 1])
                $0.raw(0x88)
                $0.opcodes("NtR")
            })
        #expect(
            pickle.root
                == .tensor(
                    PyTorchTensor(
                        storage: PyTorchStorage(key: "7", type: .f16, count: 12), type: .f16, offset: 2, shape: [2, 5],
                        strides: [5, 1])))
    }

    /// A tensor of one number, of `_rebuild_tensor_v2` or, with a dtype, of version 3, with an argument behind the others.
    static func tensor(isTyped: Bool, metadata: (inout PickleAssembler) -> Void) -> [UInt8] {
        assemble {
            $0.global("torch._utils", isTyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2")
            $0.opcodes("((")
            $0.string("storage")
            $0.global(isTyped ? "torch.storage" : "torch", isTyped ? "UntypedStorage" : "FloatStorage")
            $0.string("0")
            $0.string("cpu")
            $0.integer(isTyped ? 4 : 1)
            $0.opcodes("tQ")
            $0.integer(0)
            $0.integers([1])
            $0.integers([1])
            $0.raw(0x89)
            $0.global("collections", "OrderedDict")
            $0.opcodes(")R")
            if isTyped { $0.global("torch", "float32") }
            metadata(&$0)
            $0.opcodes("tR")
        }
    }

    @Test("refuses metadata that would change a tensor's numbers, and takes none", arguments: [false, true])
    func metadata(isTyped: Bool) throws {
        for none in ["N", "}"] {
            let pickle = try RestrictedUnpickler.load(Self.tensor(isTyped: isTyped) { $0.opcodes(none) })
            let storage = PyTorchStorage(key: "0", type: isTyped ? nil : .f32, count: isTyped ? 4 : 1)
            #expect(
                pickle.root
                    == .tensor(PyTorchTensor(storage: storage, type: .f32, offset: 0, shape: [1], strides: [1])))
        }
        for name in ["neg", "conj"] {
            let bytes = Self.tensor(isTyped: isTyped) {
                $0.opcodes("}")
                $0.string(name)
                $0.raw(0x88)
                $0.opcodes("s")
            }
            let error = #expect(throws: CheckpointError.self) { try RestrictedUnpickler.load(bytes) }
            #expect(error?.kind == .unsupported)
            #expect(error?.description.contains("'\(name)'") == true)
        }
        let list = Self.tensor(isTyped: isTyped) { $0.opcodes("]") }
        #expect(throws: CheckpointError.self) { try RestrictedUnpickler.load(list) }
    }

    static let foreign: [(module: String, name: String)] = [
        ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "getattr"), ("subprocess", "Popen"),
        ("torch", "load"), ("torch", "nn.Module"), ("torch.storage", "_load_from_bytes"), ("collections", "Counter"),
        ("numpy.core.multiarray", "scalar"), ("collections.OrderedDict", ""), ("", ""),
    ]

    @Test("refuses every other global, by name", arguments: foreign) func foreignGlobal(module: String, name: String) {
        let plain = Self.assemble {
            $0.global(module, name)
            $0.opcodes("(")
            $0.string("true")
            $0.opcodes("tR")
        }
        let stacked = Self.assemble(4) {
            $0.string(module)
            $0.string(name)
            $0.raw(0x93)
        }
        for (bytes, opcode) in [(plain, "GLOBAL at byte 2"), (stacked, "STACK_GLOBAL")] {
            let error = #expect(throws: CheckpointError.self) { try RestrictedUnpickler.load(bytes) }
            #expect(error?.kind == .unsupported)
            #expect(error?.description.contains("'\(module).\(name)'") == true)
            #expect(error?.description.contains(opcode) == true)
        }
    }

    @Test(
        "refuses opcodes that can run code or reach for objects, by name",
        arguments: [
            ("INST", Array("(ios\nsystem\n".utf8)), ("OBJ", Array("(o".utf8)), ("NEWOBJ", [0x81]),
            ("NEWOBJ_EX", [0x92]), ("EXT1", [0x82, 1]), ("EXT2", [0x83, 1, 0]), ("EXT4", [0x84, 1, 0, 0, 0]),
            ("PERSID", Array("P0\n".utf8)), ("DUP", [0x4E, 0x32]), ("GET", Array("g0\n".utf8)),
            ("PUT", Array("Np0\n".utf8)), ("STRING", Array("S'a'\n".utf8)), ("LONG", Array("L1L\n".utf8)),
            ("SHORT_BINSTRING", [0x55, 0]), ("BYTEARRAY8", [0x96]), ("NEXT_BUFFER", [0x97]),
            ("READONLY_BUFFER", [0x98]), ("FROZENSET", [0x28, 0x91]), ("EMPTY_SET", [0x8F]),
            ("SHORT_BINBYTES", [0x43, 0]),
        ] as [(String, [UInt8])])
    func foreignOpcode(name: String, code: [UInt8]) {
        let bytes = [0x80, 2] + code + Array(".".utf8)
        let error = #expect(throws: CheckpointError.self) { try RestrictedUnpickler.load(bytes) }
        #expect(error?.description.contains("opcode \(name) at byte") == true)
    }

    static let malformed: [(String, [UInt8])] = [
        ("nothing", []),
        ("no protocol", Array("N.".utf8)),
        ("protocol 1", [0x80, 1, 0x4E, 0x2E]),
        ("protocol 6", [0x80, 6, 0x4E, 0x2E]),
        ("no STOP", [0x80, 2, 0x4E]),
        ("an empty stack", [0x80, 2, 0x2E]),
        ("two values", [0x80, 2, 0x4E, 0x4E, 0x2E]),
        ("an open mark", [0x80, 2, 0x4E, 0x28, 0x2E]),
        ("bytes after STOP", [0x80, 2, 0x4E, 0x2E, 0x4E]),
        ("an unknown opcode", [0x80, 2, 0xFF, 0x2E]),
        ("a tuple without a mark", [0x80, 2, 0x74, 0x2E]),
        ("a tuple of too few", [0x80, 2, 0x4E, 0x86, 0x2E]),
        ("a pop across a mark", assemble { $0.opcodes("]N(0") }),
        ("an append to None", assemble { $0.opcodes("NNa") }),
        ("an append to a dict", assemble { $0.opcodes("}Na") }),
        ("an item on a list", assemble { $0.opcodes("]NNs") }),
        ("a key without a value", assemble { $0.opcodes("}(Nu") }),
        ("a memo that isn't there", assemble { $0.raw(0x68, 0) }),
        ("a long string that isn't there", assemble { $0.raw(0x58, 0xFF, 0xFF, 0x0F, 0) }),
        ("a string of 4 GB", assemble { $0.raw(0x58, 0xFF, 0xFF, 0xFF, 0xFF) }),
        ("a string of 2^63", assemble { $0.raw(0x8D, 0, 0, 0, 0, 0, 0, 0, 0x80) }),
        ("a frame of 2^63", assemble { $0.raw(0x95, 0, 0, 0, 0, 0, 0, 0, 0x80) }),
        ("an integer of 2^31 bytes", assemble { $0.raw(0x8B, 0, 0, 0, 0x80) }),
        ("an integer of 9 bytes", assemble { $0.raw(0x8A, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1) }),
        ("a string of accents", assemble { $0.string("a" + String(repeating: "\u{301}\u{323}", count: 100)) }),
        ("a string that isn't UTF-8", assemble { $0.raw(0x58, 1, 0, 0, 0, 0xFF) }),
        ("a global without end", assemble { $0.opcodes("ccollections" + String(repeating: "x", count: 300)) }),
        (
            "a call of a string",
            assemble {
                $0.string("os.system"); $0.opcodes(")R")
            }
        ),
        (
            "a call of a storage class",
            assemble {
                $0.global("torch", "FloatStorage"); $0.opcodes(")R")
            }
        ),
        (
            "a call of a dtype",
            assemble {
                $0.global("torch", "float32"); $0.opcodes(")R")
            }
        ),
        (
            "a call without a tuple",
            assemble {
                $0.global("collections", "OrderedDict"); $0.opcodes("NR")
            }
        ),
        (
            "an OrderedDict of something",
            assemble {
                $0.global("collections", "OrderedDict"); $0.opcodes("(]tR")
            }
        ),
        (
            "a tensor of nothing",
            assemble {
                $0.global("torch._utils", "_rebuild_tensor_v2"); $0.opcodes(")R")
            }
        ),
        ("a BUILD on a tuple", assemble { $0.opcodes(")}b") }),
        (
            "a BUILD with a string",
            assemble {
                $0.opcodes("}"); $0.string("a"); $0.opcodes("b")
            }
        ),
        ("a persistent id that isn't a tuple", assemble { $0.opcodes("NQ") }),
        (
            "a persistent id of a module",
            assemble {
                $0.string("module"); $0.opcodes("\u{85}Q")
            }
        ),
        (
            "a tensor of 17 dimensions",
            assemble {
                $0.tensor(key: "0", count: 1, shape: Array(repeating: 1, count: 17), strides: [])
            }
        ),
    ]

    @Test("refuses what isn't a complete and sensible program", arguments: malformed.map(Named.init))
    func malformedPickle(pickle: Named<[UInt8]>) {
        #expect(throws: CheckpointError.self) { try RestrictedUnpickler.load(pickle.value) }
    }

    @Test("holds bombs to its limits: marks, stack, memo and operations")
    func bombs() {
        let limits = RestrictedUnpickler.Limits(operations: 3000, stackDepth: 100, openMarks: 50, memoEntries: 200)
        let programs = [
            String(repeating: "(", count: 1000), String(repeating: "N", count: 1000),
            "N" + String(repeating: "N0", count: 2000),
        ].map { program in Self.assemble { $0.opcodes(program) } }
        let memo = Self.assemble { pickle in
            pickle.opcodes("N")
            for index in UInt8.min ... .max { pickle.raw(0x72, index, 0xFF, 0xFF, 0xFF) }
        }
        for bytes in programs + [memo] {
            let error = #expect(throws: CheckpointError.self) { try RestrictedUnpickler.load(bytes, limits: limits) }
            #expect(error?.kind == .limitExceeded)
        }
    }

    @Test("is not impressed by nesting a hundred thousand deep, by cycles, or by doubling thirty times over")
    func nesting() throws {
        let depth = 100_000
        let nested = Self.assemble { pickle in
            pickle.opcodes(String(repeating: "]", count: depth) + String(repeating: "a", count: depth - 1))
        }
        #expect(try RestrictedUnpickler.load(nested).collections.count == depth)
        let cycle = Self.assemble { $0.opcodes("]q\0h\0a") }
        #expect(try RestrictedUnpickler.load(cycle).collections[0].elements == [.collection(0)])
        let tuples = Self.assemble { pickle in
            pickle.opcodes("N")
            for _ in 0..<30 { pickle.raw(0x71, 0, 0x68, 0, 0x86) }
        }
        #expect(try RestrictedUnpickler.load(tuples).collections.count == 30)
    }

    @Test("reads or refuses a real pickle with bytes flipped, never worse") func flippedBytes() throws {
        var checkpoint = CheckpointBuilder()
        checkpoint.tensors = (0..<8).map { .init("layer.\($0).weight", shape: [4, $0 + 1]) }
        let original = checkpoint.pickle()
        var generator = SeededGenerator(seed: 3)
        var (tensors, refused) = (0, 0)
        for _ in 0..<4000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            do {
                let pickle = try RestrictedUnpickler.load(bytes)
                for (_, value) in pickle.pairs(pickle.root) ?? [] {
                    for (_, value) in pickle.pairs(value) ?? [] {
                        guard case .tensor(let tensor) = value else { continue }
                        _ = try tensor.layout()
                        tensors += 1
                    }
                }
            } catch is CheckpointError {
                refused += 1
            }
        }
        #expect(tensors > 1000 && (1000..<4000).contains(refused), "\(tensors) tensors, \(refused) refused")
    }

    @Test("refuses a pickle cut off anywhere") func truncated() {
        var checkpoint = CheckpointBuilder()
        checkpoint.tensors = [.init("a", shape: [2, 2])]
        let bytes = checkpoint.pickle()
        for length in 0..<bytes.count {
            #expect(throws: CheckpointError.self) { try RestrictedUnpickler.load(Array(bytes[..<length])) }
        }
    }
}
