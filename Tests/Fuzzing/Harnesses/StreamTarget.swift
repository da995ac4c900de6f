import FeatureService
import Files
import Glibc

@testable import Extraction

/// The input of `headwater embed --stream`.
let streamTargets = [
    FuzzTarget(
        name: "frames", kind: .parser, maximumLength: 4096,
        promise: "frames written again are the bytes that were read; of a large image nothing is kept",
        run: { input in
            let bytes = input.rest
            try withFile(bytes) { path in
                let file = try FileDescriptor(opening: path, O_RDONLY)
                defer { file.close() }
                try readFrames(of: file, bytes)
            }
        })
]

private func readFrames(of file: FileDescriptor, _ bytes: [UInt8]) throws {
    let limit = 64
    let reader = try FrameReader(file, answers: file, maximumBytes: limit)
    var place = 0
    while let (index, input) = reader.read() {
        let name = reader.takeName(of: index)
        require(reader.takeName(of: index).isEmpty, "a name is taken once")
        guard case .success(.encoded(let image)) = input else {
            let length = Frame.fields(ofHeader: Array(bytes[place..<place + Frame.headerLength])).contentLength
            require(length > limit, "only a large image is refused")
            place += Frame.headerLength + name.count + length
            continue
        }
        let frame = Frame.bytes(.image, name: name, image)
        require(bytes[place...].starts(with: frame), "frame \(index) is what was read")
        place += frame.count
    }
    if let failure = reader.failure { throw failure }
    require(place == bytes.count, "all bytes belong to frames")
}
