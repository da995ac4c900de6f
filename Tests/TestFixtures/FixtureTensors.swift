import Foundation

/// The tensors of a safetensors file among the fixtures.
///
/// The package's own reader is in another target, and tests of other targets should not depend on it.
public struct FixtureTensors: Sendable {
    /// A tensor of unsigned bytes.
    public struct Bytes: Equatable, Sendable {
        /// Its extents.
        public let shape: [Int]
        /// Its values, the last extent running fastest.
        public let values: [UInt8]
    }

    private struct Entry: Decodable {
        let shape: [Int]
        let data_offsets: [Int]
    }

    private let entries: [String: Entry]
    private let data: ArraySlice<UInt8>

    /// Reads a fixture, such as `images/expected.safetensors`.
    public init(_ name: String) throws {
        let bytes = try TestFixtures.bytes(name)
        let headerLength = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        entries = try JSONDecoder().decode([String: Entry].self, from: Data(bytes[8..<8 + headerLength]))
        data = bytes[(8 + headerLength)...]
    }

    /// What the file holds, sorted.
    public var names: [String] { entries.keys.sorted() }

    /// A tensor of type U8, or any tensor's bytes.
    public func bytes(_ name: String) -> Bytes {
        let entry = entries[name]!
        let start = data.startIndex
        return Bytes(
            shape: entry.shape, values: Array(data[start + entry.data_offsets[0]..<start + entry.data_offsets[1]]))
    }

    /// A tensor of type F64.
    public func doubles(_ name: String) -> [Double] {
        let bytes = bytes(name).values
        return stride(from: 0, to: bytes.count, by: 8).map { start in
            Double(bitPattern: bytes[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) })
        }
    }
}
