import JSON

/// The element types of the Open Inference Protocol that are used here.
enum TensorDatatype: String, Sendable, CaseIterable {
    /// Little-endian f32.
    case fp32 = "FP32"
    /// Byte strings: in JSON, base64; in binary, each after its length as four little-endian bytes.
    case bytes = "BYTES"
}

/// How many elements a tensor of that shape has; nil if there are more than an `Int` counts.
func elementCount(_ shape: [Int]) -> Int? {
    var count = 1
    for length in shape {
        let (product, overflowed) = count.multipliedReportingOverflow(by: length)
        guard !overflowed else { return nil }
        count = product
    }
    return count
}

/// A tensor's `data` in JSON: numbers or strings, in one flat array or nested as the shape says. It is read before shape and
/// datatype are known, since these may follow it.
struct JSONTensorData: Sendable {
    /// Nesting beyond this is refused; the protocol's tensors here have up to four dimensions.
    private static let maximumDepth = 8

    /// The numbers, row-major; empty if it holds strings.
    private(set) var numbers: [Float] = []
    /// The strings; empty if it holds numbers.
    private(set) var texts: [String] = []
    /// The arrays' length at each depth, which is the same throughout.
    private var lengths: [Int] = []
    /// The depth of the arrays that hold elements, once one is known.
    private var leafDepth: Int?
    private let maximumCount: Int

    /// Reads an array.
    ///
    /// - Parameter maximumCount: the most elements; the first one above is refused.
    /// - Throws: 400 for data that is ragged, mixed, nested too deeply or too long.
    init(_ scanner: inout JSONReader, maximumCount: Int) throws {
        self.maximumCount = maximumCount
        try read(&scanner, depth: 0)
    }

    /// Whether the data can be that of a tensor of the given shape: flat with as many elements, or nested accordingly.
    func fits(_ shape: [Int]) -> Bool { lengths == shape || elementCount(shape).map { lengths == [$0] } ?? false }

    private mutating func read(_ scanner: inout JSONReader, depth: Int) throws {
        guard depth < Self.maximumDepth else { throw scanner.malformed("data is nested too deeply") }
        var count = 0
        try scanner.array { scanner in
            count += 1
            if scanner.nextCharacter == "[" {
                guard depth < leafDepth ?? .max else { throw scanner.malformed("data mixes arrays and elements") }
                try read(&scanner, depth: depth + 1)
            } else {
                guard scanner.nextIsNumber || scanner.nextCharacter == "\"" else {
                    throw scanner.mismatch("a number or a string")
                }
                guard leafDepth ?? depth == depth else { throw scanner.malformed("data mixes arrays and elements") }
                leafDepth = depth
                try readElement(&scanner)
            }
        }
        while lengths.count <= depth { lengths.append(-1) }
        guard lengths[depth] == -1 || lengths[depth] == count else {
            throw scanner.malformed("data is ragged: an array has \(count) elements, an earlier one \(lengths[depth])")
        }
        lengths[depth] = count
    }

    private mutating func readElement(_ scanner: inout JSONReader) throws {
        guard numbers.count + texts.count < maximumCount else {
            throw Problem(.tooManyImages, "data has more than \(maximumCount) elements; send several requests")
        }
        if scanner.nextCharacter == "\"" {
            guard numbers.isEmpty else { throw scanner.malformed("data mixes numbers and strings") }
            texts.append(try scanner.string())
        } else {
            guard texts.isEmpty else { throw scanner.malformed("data mixes numbers and strings") }
            numbers.append(Float(try scanner.decimal()))
        }
    }
}

/// A tensor's bytes in the binary part of a body.
enum BinaryTensorData {
    /// An element of a BYTES tensor: its length, followed by its bytes.
    static func element(_ bytes: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { Array($0) } + bytes
    }

    /// The elements of an FP32 tensor.
    ///
    /// - Throws: 400 unless there are exactly `count` of them.
    static func floats(_ bytes: ArraySlice<UInt8>, count: Int) throws(Problem) -> [Float] {
        guard let byteCount = elementCount([count, 4]), bytes.count == byteCount else {
            throw Problem(
                .malformedBody, "binary_data_size is \(bytes.count), not 4 bytes for each of \(count) numbers")
        }
        return bytes.withUnsafeBytes { bytes in
            (0..<count).map { index in
                Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)))
            }
        }
    }

    /// The elements of a BYTES tensor.
    ///
    /// - Throws: 400 unless there are exactly `count` of them and their lengths are those of the bytes.
    static func strings(_ bytes: ArraySlice<UInt8>, count: Int) throws(Problem) -> [[UInt8]] {
        var rest = bytes
        var elements: [[UInt8]] = []
        while !rest.isEmpty {
            guard elements.count < count else {
                throw Problem(.malformedBody, "\(rest.count) bytes follow the last of \(count) BYTES elements")
            }
            let place = "BYTES element \(elements.count)"
            guard rest.count >= 4 else { throw Problem(.malformedBody, "\(place) is cut off within its length") }
            let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard length <= rest.count else {
                throw Problem(
                    .malformedBody, "\(place) should have \(length) bytes by its length, but only \(rest.count) follow")
            }
            elements.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        guard elements.count == count else {
            throw Problem(.malformedBody, "data has \(elements.count) BYTES elements, but the shape says \(count)")
        }
        return elements
    }
}
