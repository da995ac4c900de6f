import JSON
import UntrustedText

/// The header of a safetensors file: its tensors, and where their bytes are.
///
/// The rules are the format's own (github.com/huggingface/safetensors, "Format"): an 8-byte little-endian length, that
/// many bytes of JSON beginning with `{`, then the data, which the tensors' ranges cover from the first byte to the last
/// without gap or overlap. This reader is stricter than the specification: it refuses unknown members of a tensor's entry.
struct SafetensorsHeader {
    /// The longest header that is parsed, in bytes.
    static let largestByteCount = 100_000_000
    /// The most tensors that are read from one file.
    static let mostTensors = 100_000

    /// A tensor and where its bytes are, counted from the start of the data.
    struct Entry {
        let description: TensorDescription
        let range: Range<Int>
    }

    /// The tensors in the order of their data.
    let entries: [Entry]
    /// `__metadata__`; empty if there is none.
    let metadata: [String: String]
    /// Where the data begin in the file.
    let dataStart: Int

    /// Reads and parses the header of a file, and nothing else of it.
    init(of file: FileBytes) throws {
        guard file.count >= 8 else {
            throw CheckpointError(.malformed, "\(file.count) bytes are too few for a safetensors file")
        }
        let declared = try file.withUnsafeBytes(in: 0..<8) { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard declared <= Self.largestByteCount else {
            throw CheckpointError(
                .limitExceeded,
                "the header claims \(declared) bytes, more than \(Self.largestByteCount); is this a safetensors file?")
        }
        let length = Int(declared)
        guard length <= file.count - 8 else {
            throw CheckpointError(
                .malformed, "the header claims \(length) bytes but only \(file.count - 8) follow; the file is truncated"
            )
        }
        let parser = try file.withUnsafeBytes(in: 8..<8 + length) { try Self.parse($0) }
        metadata = parser.metadata
        dataStart = 8 + length
        entries = try Self.inDataOrder(parser.entries, dataByteCount: file.count - dataStart)
    }

    private static func parse(_ json: UnsafeRawBufferPointer) throws -> Parser {
        guard json.first == UInt8(ascii: "{") else {
            throw CheckpointError(.malformed, "the header doesn't begin with '{'; this is not a safetensors file")
        }
        var parser = Parser()
        try CheckpointError.locating(in: "safetensors header") { try parser.parse(json) }
        return parser
    }

    /// Sorts entries by their place and checks that they cover the data exactly.
    private static func inDataOrder(_ entries: [Entry], dataByteCount: Int) throws -> [Entry] {
        // Empty tensors go before the one that begins at the same place; names make the order unique.
        let sorted = entries.sorted {
            ($0.range.lowerBound, $0.range.upperBound, $0.description.name)
                < ($1.range.lowerBound, $1.range.upperBound, $1.description.name)
        }
        var end = 0
        for entry in sorted {
            guard entry.range.lowerBound == end else {
                let problem = entry.range.lowerBound < end ? "overlap those before it" : "leave a gap before it"
                throw CheckpointError(
                    .malformed, "the data of tensor \(quoted(entry.description.name)) at \(entry.range) \(problem)")
            }
            end = entry.range.upperBound
        }
        guard end == dataByteCount else {
            let problem = end > dataByteCount ? "the file is truncated" : "there are trailing bytes"
            throw CheckpointError(
                .malformed, "the tensors take \(end) bytes but \(dataByteCount) follow the header; \(problem)")
        }
        return sorted
    }
}

extension SafetensorsHeader {
    private struct Parser {
        var entries: [Entry] = []
        var metadata: [String: String] = [:]

        mutating func parse(_ json: UnsafeRawBufferPointer) throws {
            var reader = JSONReader(json)
            try reader.object { reader, name in
                if name == "__metadata__" {
                    try reader.object { reader, key in metadata[key] = try reader.string() }
                } else {
                    guard entries.count < SafetensorsHeader.mostTensors else {
                        throw CheckpointError(
                            .limitExceeded, "there are more than \(SafetensorsHeader.mostTensors) tensors")
                    }
                    entries.append(try Self.entry(name, &reader))
                }
            }
            try reader.end()
        }

        static func entry(_ name: String, _ reader: inout JSONReader) throws -> Entry {
            var (type, shape, offsets): (ElementType?, [Int]?, [Int]?)
            try reader.object { reader, member in
                switch member {
                case "dtype":
                    let text = try reader.string()
                    type = ElementType(rawValue: text)
                    guard type != nil else {
                        throw CheckpointError(
                            .unsupported, "tensor \(quoted(name)) has the unknown dtype \(quoted(text))")
                    }
                case "shape": shape = try naturals(&reader, atMost: TensorDescription.highestRank)
                case "data_offsets": offsets = try naturals(&reader, atMost: 2)
                default: throw reader.malformed("tensor \(quoted(name)) has an unknown member \(quoted(member))")
                }
            }
            guard let type, let shape, let offsets, offsets.count == 2, offsets[0] <= offsets[1] else {
                throw reader.malformed("tensor \(quoted(name)) needs dtype, shape and two ascending data_offsets")
            }
            let description = try TensorDescription(name: name, type: type, shape: shape)
            let range = offsets[0]..<offsets[1]
            guard range.count == description.byteCount else {
                throw reader.malformed(
                    "tensor \(quoted(name)) of shape \(shape) and dtype \(type.rawValue) takes "
                        + "\(description.byteCount) bytes, not the \(range.count) at \(range)")
            }
            return Entry(description: description, range: range)
        }

        static func naturals(_ reader: inout JSONReader, atMost limit: Int) throws -> [Int] {
            var numbers: [Int] = []
            try reader.array { reader in
                guard numbers.count < limit else { throw reader.malformed("more than \(limit) numbers") }
                numbers.append(try reader.naturalInDigits())
            }
            return numbers
        }
    }
}
