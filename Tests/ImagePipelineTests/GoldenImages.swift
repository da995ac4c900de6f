import Foundation
import TestFixtures

/// What Pillow 13.0 with libjpeg-turbo 3.2 makes of the fixtures in `images`: uint8 tensors in safetensors files.
///
/// The package's own safetensors reader belongs to another room, and a test should not trust it anyway.
struct GoldenImages {
    static let shared = try! GoldenImages("images/expected.safetensors")
    /// Of Pillow's `draft` at four times the size wanted and `resize` with the `box` that it gives; orientations by turning
    /// the draft and its box first.
    static let scaled = try! GoldenImages("images/scaled.safetensors")

    struct Tensor: Equatable {
        let shape: [Int]
        let values: [UInt8]
    }

    private struct Entry: Decodable {
        let shape: [Int]
        let data_offsets: [Int]
    }

    private let entries: [String: Entry]
    private let data: ArraySlice<UInt8>

    init(_ name: String) throws {
        let bytes = try TestFixtures.bytes(name)
        let headerLength = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        entries = try JSONDecoder().decode([String: Entry].self, from: Data(bytes[8..<8 + headerLength]))
        data = bytes[(8 + headerLength)...]
    }

    /// The images that have an expectation of this kind, sorted.
    func files(with kind: String) -> [String] {
        entries.keys.filter { $0.hasSuffix("/" + kind) }.map { String($0.dropLast(kind.count + 1)) }.sorted()
    }

    subscript(file: String, kind: String) -> Tensor {
        let entry = entries[file + "/" + kind]!
        let start = data.startIndex
        return Tensor(
            shape: entry.shape, values: Array(data[start + entry.data_offsets[0]..<start + entry.data_offsets[1]]))
    }
}
