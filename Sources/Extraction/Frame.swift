/// What a stream of images and embeddings consists of: a kind, a name and bytes, with their lengths in front.
///
/// A frame is the byte of its kind, the length of its name and that of its content, each as a little-endian 32-bit number,
/// the name and the content.
package enum Frame {
    package enum Kind: UInt8 {
        /// From the client: an image file, and a name of the client's choice.
        case image = 0x49  // I
        /// To the client, before anything else: a JSON document about the model and the embeddings, without a name.
        case hello = 0x48  // H
        /// To the client: the embeddings of the image of that name at all taps, one behind the other, as little-endian f32.
        case vectors = 0x56  // V
        /// To the client: why the image of that name has no embedding.
        case error = 0x45  // E
    }

    package static let headerLength = 9
    package static let longestName = 1 << 16

    package static func bytes(_ kind: Kind, name: [UInt8] = [], _ content: [UInt8]) -> [UInt8] {
        [kind.rawValue] + length(name) + length(content) + name + content
    }

    /// The fields of a header, which has `headerLength` bytes. The kind may be any byte.
    static func fields(ofHeader header: [UInt8]) -> (kind: UInt8, nameLength: Int, contentLength: Int) {
        func number(at start: Int) -> Int { (0..<4).reduce(0) { $0 | Int(header[start + $1]) << (8 * $1) } }
        return (header[0], number(at: 1), number(at: 5))
    }

    private static func length(_ bytes: [UInt8]) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: UInt32(bytes.count) >> (8 * UInt32($0))) }
    }
}
