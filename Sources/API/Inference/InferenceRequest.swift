import FeatureService
import HTTPServer
import UntrustedText

/// A request of the Open Inference Protocol, version 2, with its binary tensor extension: images, or a model's inputs as
/// numbers, and which tensors are requested.
struct InferenceRequest: Sendable {
    /// What its JSON says; what it means by default if it has none.
    let document: InferenceDocument
    /// The images, at least one.
    let inputs: [FeatureInput]
    /// Whether the inputs were given as numbers, not as files.
    let isNumeric: Bool

    struct Limits: Sendable {
        let maximumImages: Int
        /// Side of the model's input in pixels.
        let side: Int
    }

    static let oneInput = "inputs must hold one tensor: image (BYTES) or pixels (FP32)"
    static let lengthHeader = "Inference-Header-Content-Length"

    /// Reads a body.
    ///
    /// - Parameter headerLength: what `headerLength(_:)` reads; nil if all of the body is JSON, and 0 if it is one image
    ///   and nothing else.
    /// - Throws: 400, 413 or 422, saying what is wrong where.
    init(_ body: [UInt8], headerLength: Int?, limits: Limits) throws(Problem) {
        guard headerLength != 0 else {
            guard !body.isEmpty else { throw Self.noImages }
            try requireFile(body, at: "the body")
            (document, inputs, isNumeric) = (.ofFile, [.encoded(body)], false)
            return
        }
        let length = headerLength ?? body.count
        guard length <= body.count else {
            throw Problem(.malformedBody, "\(Self.lengthHeader) is \(length), but the body has \(body.count) bytes")
        }
        document = try InferenceDocument(
            body[..<length], maximumElements: limits.maximumImages * 3 * limits.side * limits.side)
        guard let input = document.inputs.first else { throw Problem(.malformedBody, Self.oneInput) }
        let tensor = try InputTensor(input, tail: body[length...], limits: limits)
        (inputs, isNumeric) = (tensor.inputs, tensor.isNumeric)
    }

    /// Checks that no `Content-Type` calls the body a form. There may be several: KServe's transformers send
    /// `application/json` and `application/octet-stream` together, and another header says where the JSON ends.
    ///
    /// - Throws: 415.
    static func requireNoForm(_ headers: HTTPHeaders) throws(Problem) {
        for value in headers.values(of: "Content-Type") where try BodyForm(contentType: value) == .form {
            throw Problem(
                .unsupportedMediaType, "this endpoint takes JSON, or JSON followed by binary tensors, not forms")
        }
    }

    /// The value of `Inference-Header-Content-Length`; nil if the request has none.
    ///
    /// - Throws: 400 unless it is one number of bytes.
    static func headerLength(_ headers: HTTPHeaders) throws(Problem) -> Int? {
        let values = headers.values(of: lengthHeader)
        guard let text = values.first else { return nil }
        guard values.count == 1, text.isDecimal, let length = Int(text) else {
            throw Problem(.malformedRequest, "\(lengthHeader) must be one number of bytes, 0 or more")
        }
        return length
    }

    fileprivate static let noImages = Problem(.noImages, "the request contains no image")
}

/// Refuses bytes that are evidently no image file, such as base64 where binary is expected. A decoder would refuse them too,
/// but its error couldn't say what to do.
private func requireFile(_ bytes: [UInt8], at place: String) throws(Problem) {
    if let problem = MistakenImage(bytes, isURLEncoded: false)?.problem(inferenceInput: place) { throw problem }
}

/// The one input of a request, checked against what the model takes.
private struct InputTensor {
    let inputs: [FeatureInput]
    let isNumeric: Bool

    init(_ input: InferenceDocument.Input, tail: ArraySlice<UInt8>, limits: InferenceRequest.Limits) throws(Problem) {
        guard let name = input.name, let datatype = input.datatype, let shape = input.shape else {
            throw Problem(.malformedBody, "inputs[0] needs a name, a datatype and a shape")
        }
        let side = limits.side
        switch name {
        case "image":
            isNumeric = false
            try Self.require(datatype, .bytes, name)
            guard shape.count == 1 else { throw Self.wrongShape(name, "[N]") }
        case "pixels":
            isNumeric = true
            try Self.require(datatype, .fp32, name)
            guard shape.count == 4, shape[1...] == [3, side, side] else {
                throw Self.wrongShape(name, "[N, 3, \(side), \(side)]")
            }
        default: throw .unknown("input", name, known: ["image", "pixels"])
        }
        let images = shape[0]
        guard images > 0 else { throw InferenceRequest.noImages }
        guard images <= limits.maximumImages else { throw .tooManyImages(limits.maximumImages) }
        let expected = input.binaryByteCount ?? 0
        guard tail.count == expected else {
            throw Problem(
                .malformedBody,
                "\(tail.count) bytes follow the JSON, but binary_data_size of the inputs is \(expected)")
        }
        let count = images * (isNumeric ? 3 * side * side : 1)
        if isNumeric {
            let numbers = try Self.numbers(input, shape, tail, count: count)
            let each = 3 * side * side
            inputs = (0..<images).map { .normalized(Array(numbers[$0 * each..<($0 + 1) * each])) }
        } else {
            inputs = try Self.files(input, shape, tail, count: count).map { .encoded($0) }
        }
    }

    private static func require(_ datatype: String, _ wanted: TensorDatatype, _ name: String) throws(Problem) {
        guard datatype == wanted.rawValue else {
            throw Problem(.malformedBody, "the datatype of \(name) must be \(wanted.rawValue)")
        }
    }

    private static func wrongShape(_ name: String, _ shape: String) -> Problem {
        Problem(.malformedBody, "the shape of \(name) must be \(shape)")
    }

    private static func numbers(
        _ input: InferenceDocument.Input, _ shape: [Int], _ tail: ArraySlice<UInt8>, count: Int
    ) throws(Problem) -> [Float] {
        let numbers: [Float]
        if let data = try json(input, shape) {
            guard data.texts.isEmpty else { throw Problem(.malformedBody, "the data of pixels must be numbers") }
            numbers = data.numbers
        } else {
            numbers = try BinaryTensorData.floats(tail, count: count)
        }
        guard numbers.allSatisfy(\.isFinite) else {
            throw Problem(.malformedBody, "pixels contains a number that is not finite in f32")
        }
        return numbers
    }

    private static func files(
        _ input: InferenceDocument.Input, _ shape: [Int], _ tail: ArraySlice<UInt8>, count: Int
    ) throws(Problem) -> [[UInt8]] {
        guard let data = try json(input, shape) else {
            let files = try BinaryTensorData.strings(tail, count: count)
            for (index, file) in files.enumerated() { try requireFile(file, at: "image[\(index)]") }
            return files
        }
        guard data.numbers.isEmpty else { throw Problem(.malformedBody, "the data of image must be base64 strings") }
        var files: [[UInt8]] = []
        for (index, text) in data.texts.enumerated() {
            do throws(InlineFile.Refusal) {
                files.append(try InlineFile.bytes(text))
            } catch {
                throw Problem(.malformedBody, "image[\(index)] \(error.reason)")
            }
        }
        return files
    }

    /// The data if it is in the JSON; nil if it is in the tail.
    private static func json(_ input: InferenceDocument.Input, _ shape: [Int]) throws(Problem) -> JSONTensorData? {
        switch (input.data, input.binaryByteCount) {
        case (let data?, nil):
            guard data.fits(shape) else {
                throw Problem(
                    .malformedBody,
                    "data must be a flat array with as many elements as the shape, or nested arrays of that shape")
            }
            return data
        case (nil, _?): return nil
        case (nil, nil), (_?, _?):
            throw Problem(.malformedBody, "inputs[0] needs either data or the parameter binary_data_size")
        }
    }
}

extension InferenceRequest {
    /// What is to be computed.
    ///
    /// - Parameter model: the model that the path names.
    /// - Throws: 400 for options that don't go together, and for a body that names another model than the path.
    func features(model: ModelRequirement) throws(Problem) -> FeatureRequest {
        let model = try agreed(with: model)
        let wanted = document.outputs?.map(\.output) ?? InferenceOutput.allCases
        guard !wanted.isEmpty else {
            throw Problem(.malformedBody, "outputs is empty; leave it out to get every output")
        }
        let selection = try document.options.selection()
        var request = FeatureRequest(
            wanted.contains(.embedding) ? selection : .taps([]),
            wantsLogits: wanted.contains(.logits) || wanted.contains(.probabilities))
        request.isHeadOptional = document.outputs == nil
        request.model = model
        return request
    }

    /// The model that both path and body name. A version that only the body names counts as if the path named it.
    private func agreed(with path: ModelRequirement) throws(Problem) -> ModelRequirement {
        if let name = document.modelName, name != path.name { throw Self.disagreement("model_name", name, path.name) }
        guard let named = document.modelVersion, !named.isEmpty else { return path }
        guard let version = path.version else { return ModelRequirement(name: path.name, version: named) }
        guard Self.name(version, named) else { throw Self.disagreement("model_version", named, version) }
        return path
    }

    /// Whether two texts name one version: both in full, both in short, or one in each form.
    private static func name(_ one: String, _ other: String) -> Bool {
        let short = 12
        return one == other || min(one.count, other.count) == short && one.prefix(short) == other.prefix(short)
    }

    private static func disagreement(_ member: String, _ body: String, _ path: String) -> Problem {
        Problem(
            .malformedBody,
            "\(member) is \"\(shown(body, atMost: 80))\", but the path names \"\(shown(path, atMost: 80))\"; "
                + "give the same name in both, or leave \(member) out")
    }
}
