/// Puts pickles together opcode by opcode, valid or not, so that tests need no Python.
public struct PickleAssembler {
    /// The pickle so far.
    public private(set) var bytes: [UInt8]

    /// Begins with `PROTO`.
    public init(version: UInt8 = 2) { bytes = [0x80, version] }

    /// Appends bytes as they are.
    public mutating func raw(_ bytes: UInt8...) { self.bytes += bytes }

    /// Appends opcodes that are ASCII characters and take no argument, such as `(` for `MARK`.
    public mutating func opcodes(_ characters: String) { bytes += Array(characters.utf8) }

    /// `BINUNICODE`.
    public mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "X"))
        bytes += littleEndian(UInt32(text.utf8.count)) + Array(text.utf8)
    }

    /// `LONG1` of eight bytes.
    public mutating func integer(_ value: Int) { bytes += [0x8A, 8] + littleEndian(value) }

    /// `GLOBAL`.
    public mutating func global(_ module: String, _ name: String) { bytes += Array("c\(module)\n\(name)\n".utf8) }

    /// A tuple of integers.
    public mutating func integers(_ values: [Int]) {
        opcodes("(")
        values.forEach { integer($0) }
        opcodes("t")
    }

    /// A tensor as `torch.save` writes it.
    public mutating func tensor(
        storageClass: String = "FloatStorage", key: String, count: Int, offset: Int = 0, shape: [Int], strides: [Int]
    ) {
        global("torch._utils", "_rebuild_tensor_v2")
        opcodes("((")
        string("storage")
        global("torch", storageClass)
        string(key)
        string("cpu")
        integer(count)
        opcodes("tQ")
        integer(offset)
        integers(shape)
        integers(strides)
        raw(0x89)
        global("collections", "OrderedDict")
        opcodes(")RtR")
    }
}

/// A number's bytes, least significant first.
public func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian, Array.init)
}
