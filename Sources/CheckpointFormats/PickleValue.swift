/// A value that the restricted unpickler has built.
///
/// Collections are indices into `Pickle.collections` rather than objects: a pickle may build reference cycles and nesting
/// of any depth, which would leak or overflow the stack when released. Storages and tensors are boxed because a hostile
/// pickle's cost is counted in values, and most values are neither.
enum PickleValue: Equatable {
    case none
    case boolean(Bool)
    case integer(Int)
    case real(Double)
    case string(String)
    case global(PickleGlobal)
    indirect case storage(PyTorchStorage)
    indirect case tensor(PyTorchTensor)
    case collection(Int)
}

/// A tuple, a list or a dictionary.
struct PickleCollection: Equatable {
    enum Kind {
        case tuple, list, dictionary
    }

    let kind: Kind
    /// The elements; for a dictionary key, value, key, value, and so on in the order of insertion.
    var elements: [PickleValue]
}

/// The names that a pickle may refer to. They stand for data structures; nothing is ever called.
enum PickleGlobal: Equatable {
    case orderedDictionary
    case rebuildTensor
    case rebuildTypedTensor
    case rebuildParameter
    /// The class of a storage whose elements have a type.
    case typedStorage(ElementType)
    /// The class of a storage of bytes.
    case untypedStorage
    /// A `torch.dtype`.
    case elementType(ElementType)

    /// The global of that name; nil if it isn't one of the few that state dicts need.
    init?(module: String, name: String) {
        switch (module, name) {
        case ("collections", "OrderedDict"): self = .orderedDictionary
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
        case ("torch._utils", "_rebuild_tensor_v3"): self = .rebuildTypedTensor
        case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
        case ("torch.storage", "UntypedStorage"): self = .untypedStorage
        case ("torch", _):
            if let type = Self.storageClasses[name] {
                self = .typedStorage(type)
            } else if let type = Self.elementTypes[name] {
                self = .elementType(type)
            } else {
                return nil
            }
        default: return nil
        }
    }

    private static let storageClasses: [String: ElementType] = [
        "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16, "DoubleStorage": .f64,
        "LongStorage": .i64, "IntStorage": .i32, "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8,
        "BoolStorage": .bool,
    ]
    private static let elementTypes: [String: ElementType] = [
        "float32": .f32, "float16": .f16, "bfloat16": .bf16, "float64": .f64, "int64": .i64, "int32": .i32,
        "int16": .i16, "int8": .i8, "uint8": .u8, "uint16": .u16, "uint32": .u32, "uint64": .u64, "bool": .bool,
        "float8_e5m2": .f8e5m2, "float8_e4m3fn": .f8e4m3,
    ]
}

/// What a pickle builds: a value, and the collections that it and they refer to.
struct Pickle {
    let root: PickleValue
    let collections: [PickleCollection]

    /// The key-value pairs of a dictionary; nil if `value` isn't one.
    func pairs(_ value: PickleValue) -> [(key: PickleValue, value: PickleValue)]? {
        guard case .collection(let index) = value, collections[index].kind == .dictionary else { return nil }
        let elements = collections[index].elements
        return stride(from: 0, to: elements.count, by: 2).map { (elements[$0], elements[$0 + 1]) }
    }

    /// The elements of a list; nil if `value` isn't one.
    func list(_ value: PickleValue) -> [PickleValue]? {
        guard case .collection(let index) = value, collections[index].kind == .list else { return nil }
        return collections[index].elements
    }
}

extension PickleValue {
    /// Python's type of the value with its article, for messages.
    var typeName: String {
        switch self {
        case .none: "None"
        case .boolean: "a boolean"
        case .integer: "an integer"
        case .real: "a real number"
        case .string: "a string"
        case .global: "a class or function"
        case .storage: "a storage"
        case .tensor: "a tensor"
        case .collection: "a collection"
        }
    }
}
