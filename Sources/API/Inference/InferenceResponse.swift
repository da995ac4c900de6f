import FeatureService
import HTTPServer

/// One tensor of an answer.
private struct OutputTensor {
    let name: String
    let shape: [Int]
    let values: [Float]
    let isBinary: Bool
}

extension FeatureResults {
    /// The answer to an inference request: JSON, and behind it the tensors wanted in binary.
    ///
    /// - Throws: the problem of the first image that failed, since a tensor has no place for it.
    func inference(_ request: InferenceRequest) throws(Problem) -> Response {
        let tensors = try outputs(of: request)
        var json = JSONWriter(capacity: 1024 + 14 * tensors.reduce(0) { $0 + ($1.isBinary ? 0 : $1.values.count) })
        let version = response.served.version
        do throws(JSONWriter.NonFiniteNumber) {
            try json.object { json throws(JSONWriter.NonFiniteNumber) in
                json.member("model_name", version.name)
                json.member("model_version", version.label)
                if let id = request.id { json.member("id", id) }
                try json.member("outputs") { json throws(JSONWriter.NonFiniteNumber) in
                    try json.array(of: tensors) { json, tensor throws(JSONWriter.NonFiniteNumber) in
                        try Self.write(tensor, &json)
                    }
                }
            }
        } catch {
            throw Problem(.internalError, "a result that is not finite reached the writer")
        }
        var headers: HTTPHeaders = ["X-Model-Version": Self.modelHeader(version)]
        if let cache = CacheOutcome(response.sources) { headers["Cache-Status"] = cache.status }
        let binary = tensors.filter(\.isBinary)
        guard !binary.isEmpty else {
            headers["Content-Type"] = "application/json"
            return Response(headers: headers, body: json.bytes)
        }
        headers["Content-Type"] = "application/octet-stream"
        headers[InferenceRequest.lengthHeader] = String(json.bytes.count)
        return Response(
            headers: headers, body: binary.reduce(into: json.bytes) { $0 += NumPyArray.bytes($1.values) })
    }

    private static func write(_ tensor: OutputTensor, _ json: inout JSONWriter) throws(JSONWriter.NonFiniteNumber) {
        try json.object { json throws(JSONWriter.NonFiniteNumber) in
            json.member("name", tensor.name)
            json.member("datatype", TensorDatatype.fp32.rawValue)
            json.member("shape") { json in json.array(of: tensor.shape) { $0.integer($1) } }
            guard tensor.isBinary else {
                return try json.member("data") { json throws(JSONWriter.NonFiniteNumber) in
                    try json.numbers(tensor.values)
                }
            }
            guard tensor.values.allSatisfy(\.isFinite) else { throw JSONWriter.NonFiniteNumber() }
            json.member("parameters") { json in
                json.object { $0.member("binary_data_size", 4 * tensor.values.count) }
            }
        }
    }

    private func outputs(of request: InferenceRequest) throws(Problem) -> [OutputTensor] {
        let images = try answers(isNumeric: request.isNumeric)
        let all = InferenceOutput.allCases.map { RequestedOutput(output: $0, isBinary: nil) }
        var tensors: [OutputTensor] = []
        for wanted in request.outputs ?? all {
            let rows: [[Float]]
            switch wanted.output {
            case .embedding:
                let normalization = request.options.normalization ?? .none
                rows = images.compactMap { $0.values.first.map(normalization.applied(to:)) }
            case .logits: rows = images.compactMap(\.logits)
            case .probabilities: rows = images.compactMap { $0.logits.map { softmax($0).map { Float($0) } } }
            }
            // What the model doesn't have is left out where the request leaves the choice to the model.
            guard let columns = rows.first?.count else { continue }
            tensors.append(
                OutputTensor(
                    name: wanted.output.rawValue, shape: [rows.count, columns], values: Array(rows.joined()),
                    isBinary: wanted.isBinary ?? request.prefersBinary))
        }
        return tensors
    }

    private func answers(isNumeric: Bool) throws(Problem) -> [ImageFeatures] {
        var answers: [ImageFeatures] = []
        for (index, result) in response.results.enumerated() {
            switch result {
            case .success(let features): answers.append(features)
            case .failure(let failure):
                throw Problem(failure, isNumeric: isNumeric).located(in: "\(isNumeric ? "pixels" : "image")[\(index)]")
            }
        }
        return answers
    }
}

extension Problem {
    /// What became of one image; numbers that a client sent are its own fault if the model can't bear them.
    init(_ failure: ImageFailure, isNumeric: Bool) {
        if isNumeric, failure == .notFinite {
            self.init(
                .unprocessableImage,
                "the model's state ceased to be finite; are the numbers normalised as GET /model says?")
        } else {
            self.init(failure)
        }
    }
}
