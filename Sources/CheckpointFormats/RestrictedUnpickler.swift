import UntrustedText

/// Reads the pickles that `torch.save` writes for state dicts and executes nothing.
///
/// Python's pickle is a program for a stack machine that may import and call anything. This machine knows the opcodes
/// that build plain data, and of the globals only those in `PickleGlobal`, which it understands as descriptions of data;
/// anything else is an error that names it. There is no recursion, so nesting can't exhaust the stack.
struct RestrictedUnpickler {
    /// What a pickle may cost. A checkpoint of 1000 parameters with AdamW's state takes about 130 000 operations.
    struct Limits {
        var operations = 2_000_000
        var stackDepth = 500_000
        var openMarks = 10_000
        var memoEntries = 1_000_000
        var stringByteCount = 1 << 20
    }

    private let bytes: [UInt8]
    private let limits: Limits
    private var position = 0
    private var opcodeStart = 0
    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private var collections: [PickleCollection] = []

    /// Runs a pickle.
    ///
    /// - Throws: `CheckpointError`, with the opcode's name and place.
    static func load(_ bytes: [UInt8], limits: Limits = Limits()) throws -> Pickle {
        var machine = RestrictedUnpickler(bytes: bytes, limits: limits)
        return try machine.run()
    }

    private mutating func run() throws -> Pickle {
        guard bytes.first == PickleOpcode.proto.rawValue else {
            throw failure(.unsupported, "it doesn't begin with PROTO; protocols 0 and 1 are not supported")
        }
        for _ in 0..<limits.operations {
            opcodeStart = position
            let code = try byte()
            guard let opcode = PickleOpcode(rawValue: code) else {
                throw failure(.malformed, "\(code) is not an opcode")
            }
            guard opcode != .stop else { return try finish() }
            do {
                try execute(opcode)
            } catch let error as CheckpointError {
                throw CheckpointError(error.kind, "opcode \(opcode.name) at byte \(opcodeStart): \(error.description)")
            }
            guard stack.count <= limits.stackDepth, marks.count <= limits.openMarks,
                memo.count <= limits.memoEntries
            else { throw failure(.limitExceeded, "the stack, the open marks or the memo grow too large") }
        }
        throw failure(.limitExceeded, "there are more than \(limits.operations) operations")
    }

    private mutating func finish() throws -> Pickle {
        guard stack.count == 1, marks.isEmpty else {
            throw failure(.malformed, "STOP with \(stack.count) values on the stack")
        }
        guard position == bytes.count else { throw failure(.malformed, "there are bytes after STOP") }
        return Pickle(root: stack[0], collections: collections)
    }

    private func failure(_ kind: CheckpointError.Kind, _ problem: String) -> CheckpointError {
        CheckpointError(kind, "byte \(opcodeStart): \(problem)")
    }
}

// MARK: - Opcodes

extension RestrictedUnpickler {
    private mutating func execute(_ opcode: PickleOpcode) throws {
        switch opcode {
        case .proto: try checkProtocol()
        case .frame: try skipFrameLength()
        case .mark: marks.append(stack.count)
        case .pop: _ = try pop()
        case .popMark: _ = try popToMark()
        case .emptyTuple: push(.tuple, [])
        case .tuple: push(.tuple, try popToMark())
        case .tuple1: push(.tuple, try pop(1))
        case .tuple2: push(.tuple, try pop(2))
        case .tuple3: push(.tuple, try pop(3))
        case .emptyList: push(.list, [])
        case .list: push(.list, try popToMark())
        case .append: try extend(.list, with: try pop(1))
        case .appends: try extend(.list, with: try popToMark())
        case .emptyDict: push(.dictionary, [])
        case .dict: push(.dictionary, try paired(try popToMark()))
        case .setitem: try extend(.dictionary, with: try pop(2))
        case .setitems: try extend(.dictionary, with: try paired(try popToMark()))
        case .binput: memo[Int(try byte())] = try top()
        case .longBinput: memo[try length32()] = try top()
        case .memoize: memo[memo.count] = try top()
        case .binget: stack.append(try recall(Int(try byte())))
        case .longBinget: stack.append(try recall(try length32()))
        case .global: stack.append(.global(try global(module: try line(), name: try line())))
        case .stackGlobal: try pushStackGlobal()
        case .reduce: try reduce()
        case .build: try build()
        case .binpersid: stack.append(.storage(try storage(try tupleElements(try pop()))))
        default: stack.append(try literal(opcode))
        }
    }

    private mutating func literal(_ opcode: PickleOpcode) throws -> PickleValue {
        switch opcode {
        case .none: .none
        case .newtrue: .boolean(true)
        case .newfalse: .boolean(false)
        case .binint: .integer(Int(Int32(truncatingIfNeeded: try integer(byteCount: 4))))
        case .binint1: .integer(Int(try byte()))
        case .binint2: .integer(Int(try integer(byteCount: 2)))
        case .long1: .integer(try signedInteger(byteCount: Int(try byte())))
        case .long4: .integer(try signedInteger(byteCount: try length32()))
        case .binfloat: .real(Double(bitPattern: UInt64(try integer(byteCount: 8)).byteSwapped))
        case .shortBinunicode: .string(try string(byteCount: Int(try byte())))
        case .binunicode: .string(try string(byteCount: try length32()))
        case .binunicode8: .string(try string(byteCount: try length64()))
        default:
            throw CheckpointError(.unsupported, "not allowed in a checkpoint; nothing was executed")
        }
    }

    private mutating func checkProtocol() throws {
        let version = try byte()
        guard (2...5).contains(version), opcodeStart == 0 else {
            throw CheckpointError(.unsupported, "unexpected protocol \(version); a pickle begins with one of 2 to 5")
        }
    }

    /// Frames only help a reader that streams; their length must still be possible.
    private mutating func skipFrameLength() throws {
        guard try length64() <= bytes.count - position else {
            throw CheckpointError(.malformed, "the frame is longer than the pickle")
        }
    }

    private mutating func extend(_ kind: PickleCollection.Kind, with elements: [PickleValue]) throws {
        guard case .collection(let index) = try top(), collections[index].kind == kind else {
            throw CheckpointError(.malformed, "expected \(kind) under the elements, not \(try top().typeName)")
        }
        collections[index].elements += elements
    }

    private func paired(_ elements: [PickleValue]) throws -> [PickleValue] {
        guard elements.count.isMultiple(of: 2) else { throw CheckpointError(.malformed, "a key has no value") }
        return elements
    }

    private mutating func pushStackGlobal() throws {
        let names = try pop(2)
        guard case .string(let module) = names[0], case .string(let name) = names[1] else {
            throw CheckpointError(.malformed, "module and name must be strings")
        }
        stack.append(.global(try global(module: module, name: name)))
    }

    private func global(module: String, name: String) throws -> PickleGlobal {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw CheckpointError(
                .unsupported,
                "the global \(quoted(module + "." + name)) is not allowed in a checkpoint: loading it could run code, so it was not "
                    + "loaded. Save a dict of plain tensors: torch.save(model.state_dict(), path)")
        }
        return global
    }

    /// `BUILD` sets an object's attributes. A state dict's `_metadata` comes that way; it isn't needed.
    private mutating func build() throws {
        let state = try pop()
        let target = try top()
        for value in [state, target] {
            guard case .collection(let index) = value, collections[index].kind == .dictionary else {
                throw CheckpointError(.unsupported, "allowed only on a dict, with a dict, not \(value.typeName)")
            }
        }
    }

    private mutating func reduce() throws {
        let arguments = try tupleElements(try pop())
        guard case .global(let callable) = try pop() else {
            throw CheckpointError(.unsupported, "only a global may be called")
        }
        switch callable {
        case .orderedDictionary:
            guard arguments.isEmpty else {
                throw CheckpointError(.unsupported, "OrderedDict is allowed only without arguments")
            }
            push(.dictionary, [])
        case .rebuildTensor, .rebuildTypedTensor:
            stack.append(.tensor(try tensor(arguments, isTyped: callable == .rebuildTypedTensor)))
        case .rebuildParameter:
            guard arguments.count == 3, case .tensor = arguments[0] else {
                throw CheckpointError(.malformed, "_rebuild_parameter needs a tensor and two more arguments")
            }
            stack.append(arguments[0])
        case .typedStorage, .untypedStorage, .elementType:
            throw CheckpointError(.unsupported, "storages and dtypes can't be called")
        }
    }
}

// MARK: - Tensors

extension RestrictedUnpickler {
    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])`; version 3 has the dtype after
    /// the hooks.
    private func tensor(_ arguments: [PickleValue], isTyped: Bool) throws -> PyTorchTensor {
        guard (isTyped ? 7...8 : 6...7).contains(arguments.count),
            case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1]
        else { throw CheckpointError(.malformed, "a tensor needs storage, offset, size, stride and two or more") }
        let type: ElementType?
        if isTyped, case .global(.elementType(let named)) = arguments[6] {
            type = named
        } else {
            type = isTyped ? nil : storage.type
        }
        guard let type else { throw CheckpointError(.malformed, "a tensor has no element type") }
        if arguments.count == (isTyped ? 8 : 7) { try requireNoMetadata(arguments[arguments.count - 1]) }
        return PyTorchTensor(
            storage: storage, type: type, offset: offset, shape: try integers(arguments[2]),
            strides: try integers(arguments[3]))
    }

    /// The metadata say that the numbers stored are not the tensor's, such as `{'neg': True}`, whose signs are reversed.
    private func requireNoMetadata(_ metadata: PickleValue) throws {
        if metadata == .none { return }
        guard case .collection(let index) = metadata, collections[index].kind == .dictionary else {
            throw CheckpointError(.malformed, "a tensor's metadata must be a dict or None, not \(metadata.typeName)")
        }
        guard let key = collections[index].elements.first else { return }
        let name = if case .string(let name) = key { quoted(name) } else { key.typeName }
        throw CheckpointError(
            .unsupported,
            "a tensor has the metadata \(name), which is not supported; save tensor.resolve_conj().resolve_neg() instead"
        )
    }

    /// `('storage', class, key, location, count)`: the one persistent id that `torch.save` writes.
    private func storage(_ identifier: [PickleValue]) throws -> PyTorchStorage {
        guard identifier.count == 5, identifier[0] == .string("storage"), case .global(let global) = identifier[1],
            case .string(let key) = identifier[2], case .string = identifier[3],
            case .integer(let count) = identifier[4]
        else {
            throw CheckpointError(.malformed, "the persistent id is not ('storage', class, key, location, count)")
        }
        switch global {
        case .typedStorage(let type): return PyTorchStorage(key: key, type: type, count: count)
        case .untypedStorage: return PyTorchStorage(key: key, type: nil, count: count)
        default: throw CheckpointError(.malformed, "the persistent id names something that is not a storage class")
        }
    }

    private func integers(_ value: PickleValue) throws -> [Int] {
        let elements = try tupleElements(value)
        guard elements.count <= TensorDescription.highestRank else {
            throw CheckpointError(.limitExceeded, "a tensor has \(elements.count) dimensions")
        }
        return try elements.map { element in
            guard case .integer(let integer) = element else {
                throw CheckpointError(.malformed, "sizes and strides must be integers, not \(element.typeName)")
            }
            return integer
        }
    }
}

// MARK: - Stack, memo and bytes

extension RestrictedUnpickler {
    private mutating func push(_ kind: PickleCollection.Kind, _ elements: [PickleValue]) {
        stack.append(.collection(collections.count))
        collections.append(PickleCollection(kind: kind, elements: elements))
    }

    private func tupleElements(_ value: PickleValue) throws -> [PickleValue] {
        guard case .collection(let index) = value, collections[index].kind == .tuple else {
            throw CheckpointError(.malformed, "expected a tuple, not \(value.typeName)")
        }
        return collections[index].elements
    }

    private func top() throws -> PickleValue {
        guard stack.count > marks.last ?? 0, let top = stack.last else {
            throw CheckpointError(.malformed, "the stack is empty")
        }
        return top
    }

    private mutating func pop() throws -> PickleValue {
        let top = try top()
        stack.removeLast()
        return top
    }

    private mutating func pop(_ count: Int) throws -> [PickleValue] {
        guard stack.count - (marks.last ?? 0) >= count else {
            throw CheckpointError(.malformed, "the stack holds fewer than \(count) values")
        }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popToMark() throws -> [PickleValue] {
        guard let mark = marks.popLast() else { throw CheckpointError(.malformed, "there is no mark") }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[mark...])
    }

    private func recall(_ index: Int) throws -> PickleValue {
        guard let value = memo[index] else { throw CheckpointError(.malformed, "the memo has no entry \(index)") }
        return value
    }

    private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
        guard count <= bytes.count - position else { throw CheckpointError(.malformed, "the pickle ends early") }
        defer { position += count }
        return bytes[position..<position + count]
    }

    private mutating func byte() throws -> UInt8 { try take(1).first! }

    /// Up to eight bytes, little endian.
    private mutating func integer(byteCount: Int) throws -> UInt64 {
        try take(byteCount).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Two's complement; Python's integers have no largest value, but nothing in a checkpoint needs more than 64 bits.
    private mutating func signedInteger(byteCount: Int) throws -> Int {
        guard byteCount <= 8 else { throw CheckpointError(.limitExceeded, "an integer of \(byteCount) bytes") }
        guard byteCount > 0 else { return 0 }
        let shift = 64 - 8 * byteCount
        return Int(Int64(bitPattern: try integer(byteCount: byteCount) << shift) >> shift)
    }

    private mutating func length32() throws -> Int { Int(try integer(byteCount: 4)) }

    private mutating func length64() throws -> Int {
        guard let length = Int(exactly: try integer(byteCount: 8)) else {
            throw CheckpointError(.malformed, "a length is impossible")
        }
        return length
    }

    private mutating func string(byteCount: Int) throws -> String {
        guard byteCount <= limits.stringByteCount else {
            throw CheckpointError(.limitExceeded, "a string of \(byteCount) bytes")
        }
        guard let string = String(streamSafe: try take(byteCount)) else {
            throw CheckpointError(
                .malformed, "a string is not valid UTF-8, or has over 30 combining characters in a row")
        }
        return string
    }

    private mutating func line() throws -> String {
        guard let end = bytes[position...].prefix(256).firstIndex(of: UInt8(ascii: "\n")) else {
            throw CheckpointError(.malformed, "a name is longer than 256 bytes")
        }
        let name = try string(byteCount: end - position)
        position += 1
        return name
    }
}
