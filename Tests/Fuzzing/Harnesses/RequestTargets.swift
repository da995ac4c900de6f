import Digests
import Foundation
import JSON
import ReverseODE
import Telemetry

@testable import API
@testable import HTTPServer

/// What requests bring.
let requestTargets = [
    FuzzTarget(
        name: "multipart", kind: .parser, maximumLength: 4096,
        promise: "a part ends at the boundary; limits of parts hold",
        run: { try readForm(&$0) }),
    FuzzTarget(
        name: "json", kind: .parser, maximumLength: 4096,
        promise: "what passes the strict reader is JSON to Foundation too",
        run: { input in
            let document = String(decoding: input.rest, as: UTF8.self)
            try JSONReader.check(Array(document.utf8))
            requireFoundationReads(Array(document.utf8))
        }),
    FuzzTarget(
        name: "json-body", kind: .parser, maximumLength: 4096,
        promise: "a body that was taken is strict JSON; taps are no more than allowed",
        run: { try readBody(&$0) }),
    FuzzTarget(
        name: "base64", kind: .parser, maximumLength: 256,
        promise: "each sequence of bytes has one text but for line breaks, alone and in a data: URI",
        run: { try readInlineFile(&$0) }),
    FuzzTarget(
        name: "query", kind: .parser, maximumLength: 2048,
        promise: "items are divided at every & and = byte; options and taps are no more than allowed",
        run: { try readTarget(&$0) }),
    FuzzTarget(
        name: "headers", kind: .parser, maximumLength: 2048,
        promise: "a length taken is one number; a deadline is within the maximum",
        run: { try readHeaders(&$0) }),
    FuzzTarget(
        name: "content-coding", kind: .parser, maximumLength: 4096,
        promise: "no more bytes and memory than allowed; a larger limit changes nothing",
        run: { try readContent(&$0) }),
    FuzzTarget(
        name: "oip", kind: .parser, maximumLength: 8192,
        promise: "as many images as the shape says, of as many finite numbers each",
        run: { try readInference(&$0) }),
]

private func requireFoundationReads(_ document: [UInt8]) {
    // Foundation takes no number beyond a double's range, which the grammar allows: exponents and 300 digits are left out.
    var digits = 0
    for byte in document {
        let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        if digits > 0 && (byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E")) { return }
        digits = isDigit ? digits + 1 : 0
        if digits > 300 { return }
    }
    let value = try? JSONSerialization.jsonObject(with: Data(document), options: .fragmentsAllowed)
    require(value != nil, "Foundation reads \(String(decoding: document, as: UTF8.self).debugDescription)")
}

// MARK: - Bodies

private let maximumImages = 4
/// The options of `/embed` and of `/classify`.
private let imageOptions: [[RequestOptions.Name]] = [[.at, .from, .taps, .normalize, .encoding], [.top]]

/// The first line is the Content-Type, the rest is the body.
private func readForm(_ input: inout FuzzInput) throws {
    let line = input.prefix(upTo: UInt8(ascii: "\n"))
    // As libmicrohttpd delivers it: without controls, which make the head malformed.
    guard line.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), let contentType = String(validating: line, as: UTF8.self)
    else { return }
    let boundary = try FormBoundary(contentType: contentType)
    require(line.firstRange(of: boundary.bytes) != nil, "a boundary that was accepted is there")

    let limits = FormLimits(maximumParts: 5, maximumPartBytes: 1024, maximumHeaderBytes: 1024)
    let body = input.rest
    let parts = try FormReader.parts(of: body, boundary: boundary, limits: limits)
    require((1...limits.maximumParts).contains(parts.count), "parts are as many as may be")
    require(parts.allSatisfy { $0.bytes.count <= limits.maximumPartBytes }, "parts are as large as may be")
    require(parts.reduce(0) { $0 + $1.bytes.count } <= body.count, "parts are no more than the body")
    // A line that only begins so is content.
    for line in [[], Array("--".utf8)].flatMap({ mark in ["\n", "\r\n", " \n"].map { mark + Array($0.utf8) } }) {
        let delimiter = Array("\n--".utf8) + boundary.bytes + line
        require(parts.allSatisfy { $0.bytes.firstRange(of: delimiter) == nil }, "a part ends at the boundary")
    }
}

private func readInlineFile(_ input: inout FuzzInput) throws {
    let isURLEncoded = input.bool()
    let text = String(decoding: input.rest, as: UTF8.self)
    let bytes = Array(text.utf8)
    let mistaken = MistakenImage(bytes, isURLEncoded: isURLEncoded)
    let details = [mistaken?.problem(contentType: text).detail, mistaken?.problem(field: "image")?.detail]
    for detail in details.compactMap({ $0 }) {
        require(detail.utf8.count < 1000 && detail.utf8.allSatisfy { $0 >= 0x20 }, "a mistake is named in few words")
    }
    let file = try InlineFile.bytes(text)
    // No base64 contains a comma.
    let data = bytes.firstIndex(of: UInt8(ascii: ",")).map { bytes[($0 + 1)...] } ?? bytes[...]
    require(data.startIndex == 0 || text.lowercased().hasPrefix("data:"), "only a data: URI has a comma")
    guard !data.contains(UInt8(ascii: "%")) else { return }
    let encoded = data.filter { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
    require(Base64.encode(file) == encoded, "one text for each bytes")
}

private func readBody(_ input: inout FuzzInput) throws {
    let choice = input.integer(in: 0...4)
    let body = input.rest
    switch choice {
    case 0: _ = try LoadPost(body)
    case 1: _ = try RepositoryPost(body)
    case 4:
        let images = try OpenAIEmbeddingsRequest(body, maximumImages: maximumImages).images
        require((1...maximumImages).contains(images.count), "images are as many as may be")
    default:
        var options = RequestOptions()
        let names = imageOptions[choice - 2]
        let images = try JSONPost(body, options: &options, names: names, maximumImages: maximumImages).images
        require(images.count <= maximumImages, "images are as many as may be")
        require(try options.selection().count <= RequestOptions.maximumTaps, "taps are as many as may be")
    }
    guard !body.isEmpty else { return }
    let document = body.starts(with: [0xEF, 0xBB, 0xBF]) ? body.dropFirst(3) : body[...]
    // What is passed over may nest deeper than what is read.
    try JSONReader.check(Array(document), maximumDepth: 32)
}

// MARK: - Heads

private let publicRouter = Router<PublicAPI>()
private let adminRouter = Router<AdminAPI>()

private func readTarget(_ input: inout FuzzInput) throws {
    let names = input.element(of: imageOptions)
    // libmicrohttpd gives a C string.
    let text = String(decoding: input.rest.prefix { $0 != 0 }, as: UTF8.self)
    let target = try RequestTarget(text)
    require(target.path == "*" || target.path.utf8.first == UInt8(ascii: "/"), "a path begins with /")
    let query = text.utf8.firstIndex(of: UInt8(ascii: "?")).map { text.utf8[$0...].dropFirst() }
    let items = query?.split(separator: UInt8(ascii: "&")) ?? []
    require(target.query.count == items.count, "items are divided at every &")
    for (item, raw) in zip(target.query, items) {
        require((item.value != nil) == raw.contains(UInt8(ascii: "=")), "a value follows the first =")
    }
    _ = try? publicRouter.route(method: "POST", path: target.path)
    _ = try? adminRouter.route(method: "POST", path: target.path)
    let options = try RequestOptions(target.query, names: names)
    require(try options.selection().count <= RequestOptions.maximumTaps, "taps are as many as may be")
    if let place = options.places?.first {
        require(try TapPlace(parsing: place.description) == place, "a place's text is read as that place")
    }
}

/// Lines of name and value.
private func readHeaders(_ input: inout FuzzInput) throws {
    var headers = HTTPHeaders()
    for line in input.rest.split(separator: UInt8(ascii: "\n")) {
        let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        headers.append(
            name: String(decoding: parts[0], as: UTF8.self),
            value: parts.count > 1 ? String(decoding: parts[1], as: UTF8.self) : "")
    }
    let older = try? RequestFraming.examine(headers, version: "HTTP/1.0")
    require(older != .chunked, "HTTP/1.0 has no transfer coding")
    let framing = try RequestFraming.examine(headers, version: "HTTP/1.1")
    require(older == nil || older == framing, "both versions see the same body")
    if case .length(let length) = framing {
        require(Int(length.description) != 0, "a length is above zero")
        require(headers.values(of: "Transfer-Encoding").isEmpty, "a length and a transfer coding exclude each other")
    }
    let limits = TimeLimits(standard: .seconds(30), maximum: .seconds(120))
    let now = ContinuousClock.now
    let head = RequestHead(method: "POST", path: "/", headers: headers, received: now)
    require(try RequestDeadline(head, limits).instant() <= now + limits.maximum, "a deadline is within the maximum")
    let presented = Credentials(keys: ["correct horse"]).presented(in: headers)
    if headers["Authorization"] == nil && headers["X-API-Key"] == nil {
        require(presented == .nothing, "a key comes in one of its headers")
    }
    _ = try InferenceRequest.headerLength(headers)
    _ = headers["traceparent"].flatMap(TraceContext.init(traceparent:))?.child()
    _ = try ResultFormat.negotiated(headers, offered: [.json, .npy])
    _ = try ContentCoding(headers)
    guard try BodyForm(headers) == .form else { return }
    _ = try FormBoundary(contentType: headers["Content-Type"])
}

/// The last byte's choice is the coding.
private func readContent(_ input: inout FuzzInput) throws {
    let coding = input.element(of: ContentCoding.allCases)
    let body = input.rest
    func content(atMost limit: Int) throws(ContentCodingError) -> [UInt8] {
        var reserved = 0
        // Small enough that the fuzzer meets each limit.
        let limits = ContentLimits(maximumBytes: limit, maximumRatio: 20, freeBytes: 1024)
        let content = try ContentDecoder.content(of: body, coding: coding, limits: limits) {
            reserved += $0
            return true
        }
        require(content.count <= limit && reserved <= limit, "no more bytes and memory than allowed")
        require(content.count <= max(1024, 20 * body.count), "no more than so many times the body")
        return content
    }
    let whole = try content(atMost: 1 << 20)
    require(try content(atMost: max(1, whole.count)) == whole, "a larger limit changes nothing")
    if whole.count > 1 {
        require((try? content(atMost: whole.count - 1)) == nil, "what is larger is refused")
    }
}

// MARK: - Open Inference Protocol

private func readInference(_ input: inout FuzzInput) throws {
    let limits = InferenceRequest.Limits(maximumImages: 4, side: 4)
    let isAnnounced = input.bool()
    let length = input.integer(in: 0...8191)
    let body = input.rest
    // Half of the inputs announce where the JSON ends that the fuzzer wrote.
    let brace = body.lastIndex(of: UInt8(ascii: "}")).map { $0 + 1 }
    let request = try InferenceRequest(
        body, headerLength: isAnnounced ? brace ?? length : length & 1 == 0 ? nil : length, limits: limits)
    require((1...limits.maximumImages).contains(request.inputs.count), "images are as many as may be")
    for image in request.inputs {
        guard case .normalized(let numbers) = image else { continue }
        require(numbers.count == 3 * limits.side * limits.side, "an image has its numbers")
        require(numbers.allSatisfy(\.isFinite), "an image's numbers are finite")
    }
    _ = try request.features(model: .init(name: "tiny", version: nil))
}

// MARK: - Refusals

/// What the sender of the input reads.
func explanation(of error: any Error) -> String {
    switch error {
    case let problem as Problem: problem.detail
    case let refusal as TransportRefusal: refusal.reason
    case let target as InvalidTarget: target.reason
    case let refusal as InlineFile.Refusal: refusal.reason
    default: "\(error)"
    }
}
