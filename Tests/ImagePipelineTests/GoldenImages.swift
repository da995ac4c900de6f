import TestFixtures

/// What Pillow 13.0 with libjpeg-turbo 3.2 makes of the fixtures in `images`.
struct GoldenImages {
    static let shared = try! GoldenImages("images/expected.safetensors")
    /// Of Pillow's `draft` at four times the size wanted and `resize` with the `box` that it gives; orientations by turning
    /// the draft and its box first.
    static let scaled = try! GoldenImages("images/scaled.safetensors")

    /// Of files in `images/formats`.
    static let formats = try! GoldenImages("images/formats.safetensors")

    private let tensors: FixtureTensors

    init(_ name: String) throws { tensors = try FixtureTensors(name) }

    /// The images that have an expectation of this kind, sorted.
    func files(with kind: String) -> [String] {
        tensors.names.filter { $0.hasSuffix("/" + kind) }.map { String($0.dropLast(kind.count + 1)) }
    }

    subscript(file: String, kind: String) -> FixtureTensors.Bytes { tensors.bytes(file + "/" + kind) }
}
