@testable import ImagePipeline

/// Decoding, orienting and resizing.
let imageTargets = [
    FuzzTarget(
        name: "jpeg", kind: .decoder, maximumLength: 16 << 10,
        promise: "cropping while decoding gives the pixels of decoding, turning and cropping one after the other",
        run: { try decode($0.rest, &$0) }),
    FuzzTarget(
        name: "png", kind: .decoder, maximumLength: 16 << 10,
        promise: "as jpeg, with checksums mended in half of the inputs",
        run: { input in
            let isMended = input.bool()
            try decode(isMended ? mendingChunks(of: input.rest) : input.rest, &input)
        }),
    FuzzTarget(
        name: "webp", kind: .decoder, maximumLength: 16 << 10, promise: "as jpeg",
        run: { try decode($0.rest, &$0) }),
    FuzzTarget(
        name: "gif", kind: .decoder, maximumLength: 16 << 10, promise: "as jpeg", run: { try decode($0.rest, &$0) }),
    FuzzTarget(
        name: "bmp", kind: .decoder, maximumLength: 16 << 10, promise: "as jpeg", run: { try decode($0.rest, &$0) }),
    FuzzTarget(
        name: "tiff", kind: .decoder, maximumLength: 16 << 10, promise: "as jpeg", run: { try decode($0.rest, &$0) }),
    FuzzTarget(
        name: "heif", kind: .decoder, maximumLength: 16 << 10, promise: "as jpeg, of HEIC and AVIF",
        run: { try decode($0.rest, &$0) }),
    // Long enough for as many segments as show by the time limit that a time grows with the square of their number.
    FuzzTarget(
        name: "probe", kind: .parser, maximumLength: 512 << 10,
        promise: "a header states a size and orientation that exist",
        run: { input in
            let header = try ImageDecoder.probe(input.rest, formats: .all)
            require(header.width > 0 && header.height > 0, "a header has pixels")
            require((1...4).contains(header.channels), "an image has 1 to 4 channels")
        }),
    FuzzTarget(
        name: "resize", kind: .decoder, maximumLength: 64,
        promise: "spans lie in the image, weights sum to one and don't overflow; no pixel changes by turning first, or "
            + "by what follows a JPEG",
        run: { try resize(&$0) }),
]

private let limits = ImageLimits(maximumPixels: 1 << 16, maximumBytes: 1 << 20, formats: .all)

private func decode(_ bytes: [UInt8], _ input: inout FuzzInput) throws {
    let header = try ImageDecoder.probe(bytes, formats: .all)
    let whole = try ImageDecoder.decode(bytes, limits: limits)
    let isTransposed = header.orientation.isTransposed
    require(whole.width == (isTransposed ? header.height : header.width), "the width is the header's")
    require(whole.height == (isTransposed ? header.width : header.height), "the height is the header's")

    let preprocessing = try preprocessing(&input)
    let atOnce = try preprocessing.croppedImage(for: bytes, limits: limits, decoding: .exact)
    require(atOnce == preprocessing.croppedImage(for: whole), "the order of turning and resizing doesn't matter")

    guard header.format.largestDenominator > 1 else { return }
    let denominator = input.element(of: [2, 4, 8].filter { $0 <= header.format.largestDenominator })
    let stored = try ImageDecoder.decodeStored(bytes, limits: limits) { _ in denominator }
    _ = preprocessing.croppedImage(
        for: stored.image, storedAs: (header.width, header.height), denominator: denominator,
        orientation: header.orientation)
}

private func preprocessing(_ input: inout FuzzInput) throws -> Preprocessing {
    let crop = input.integer(in: 1...64)
    return try Preprocessing(
        resizeShorterSide: crop + input.integer(in: 0...32), cropSize: crop, mean: [0.5, 0.5, 0.5],
        standardDeviation: [0.25, 0.25, 0.25])
}

/// The file with the checksum of every chunk as it should be, so that what is in them reaches the decoder.
private func mendingChunks(of file: [UInt8]) -> [UInt8] {
    var file = file
    var offset = 8
    while offset + 12 <= file.count {
        let length = file[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
        guard length <= file.count - offset - 12 else { break }
        let end = offset + 8 + length
        let sum = crc32(file[offset + 4..<end])
        for place in 0..<4 { file[end + place] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * place)) }
        offset = end + 4
    }
    return file
}

// MARK: - Resizing

private func resize(_ input: inout FuzzInput) throws {
    try checkAxis(&input)

    let height = input.integer(in: 1...96)
    let width = min(input.integer(in: 1...256), height * 60)
    let seed = input.byte()
    let image = RGBImage(
        width: width, height: height,
        pixels: (0..<width * height * 3).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 7) ^ seed })
    let orientation = input.element(of: Orientation.allCases)
    let preprocessing = try preprocessing(&input)
    let atOnce = preprocessing.croppedImage(
        for: image, storedAs: (width, height), denominator: 1, orientation: orientation)
    require(
        atOnce == preprocessing.croppedImage(for: image.oriented(orientation)),
        "the order of turning and resizing doesn't matter")
    require(preprocessing.normalized(atOnce).allSatisfy(\.isFinite), "the network's input is finite")

    let denominator = input.element(of: [2, 4, 8])
    let stored = (width: width * denominator - input.integer(in: 0...denominator - 1), height: height * denominator)
    _ = preprocessing.croppedImage(for: image, storedAs: stored, denominator: denominator, orientation: orientation)

    let resized = image.resized(
        width: input.integer(in: 1...128), height: input.integer(in: 1...128),
        filter: input.element(of: [.box, .bicubic]))
    require(try ImageDecoder.decode(resized.png()) == resized, "a PNG file holds the picture")
    let jpeg = try resized.jpeg(quality: input.integer(in: 1...100))
    // Only of sound data: where codes are wrong, libjpeg-turbo's pixels depend on how many bytes follow.
    let withoutMarker = try ImageDecoder.decode(jpeg.dropLast(2) + input.rest)
    require(try withoutMarker == ImageDecoder.decode(jpeg), "what follows the last pixel doesn't matter")
}

private func checkAxis(_ input: inout FuzzInput) throws {
    let denominator = input.element(of: [1, 2, 4, 8])
    let extent = Double(input.integer(in: 1...1_000_000)) / Double(denominator)
    let length = Int(extent.rounded(.up))
    let resized = input.integer(in: 1...4096 * 60)
    let start = input.integer(in: 0...resized - 1)
    let axis = ResamplingAxis(
        length: length, extent: extent, isReflected: input.bool(), resizedLength: resized,
        outputs: start..<min(start + 16, resized), filter: input.element(of: [.box, .bicubic]))
    let one = 1 << Int(ImageResamplePrecision)
    for (row, span) in axis.spans.enumerated() {
        require(span.start >= 0 && Int(span.start) + Int(span.count) <= length, "a span lies in the image")
        require((1...Int32(axis.stride)).contains(span.count), "an output is made of at least one pixel")
        let weights = axis.weights[row * axis.stride..<row * axis.stride + Int(span.count)].map(Int.init)
        require(abs(weights.reduce(0, +) - one) <= weights.count, "weights sum to one")
        let largest = max(weights.reduce(0) { $0 + max($1, 0) }, -weights.reduce(0) { $0 + min($1, 0) })
        require(largest * 255 + one / 2 <= Int32.max, "sums don't overflow")
    }
}

/// Fractional bits of the weights (`CImageCodecs.h`).
private let ImageResamplePrecision = 22
