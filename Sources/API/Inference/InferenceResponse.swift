import Files
import HTTPServer
import JSON

/// One tensor of an answer.
private struct OutputTensor {
    enum Elements {
        case numbers([Float])
        case texts([String])
    }

    let name: String
    let shape: [Int]
    let elements: Elements
    let isBinary: Bool

    var datatype: TensorDatatype {
        switch elements {
        case .numbers: .fp32
        case .texts: .bytes
        }
    }

    /// Its approximate size as JSON.
    var estimatedTextBytes: Int {
        switch elements {
        case .numbers(let numbers): 14 * numbers.count
        case .texts(let texts): texts.reduce(0) { $0 + $1.utf8.count + 3 }
        }
    }

    /// Its elements in binary.
    var bytes: [UInt8] {
        switch elements {
        case .numbers(let numbers): NumPyArray.bytes(numbers)
        case .texts(let texts): texts.reduce(into: []) { $0 += BinaryTensorData.element(Array($1.utf8)) }
        }
    }

    func writeData(_ json: inout JSONWriter) throws {
        switch elements {
        case .numbers(let numbers): try json.numbers(numbers)
        case .texts(let texts): json.array(of: texts) { $0.string($1) }
        }
    }

    /// JSON has no infinity and NaN, and binary tensors must not have them either.
    func requireFinite() throws(JSONWriter.NonFiniteNumber) {
        if case .numbers(let numbers) = elements, !numbers.allSatisfy(\.isFinite) { throw JSONWriter.NonFiniteNumber() }
    }
}

extension FeatureResults {
    /// The answer to an inference request: JSON, followed by the binary tensors.
    ///
    /// - Throws: the problem of the first image that failed, since a tensor has no place for it.
    func inference(_ request: InferenceRequest) throws(Problem) -> Response {
        let tensors = try outputs(of: request)
        var tail: [UInt8] = []
        var json = JSONWriter(capacity: 1024 + tensors.reduce(0) { $0 + ($1.isBinary ? 0 : $1.estimatedTextBytes) })
        let version = response.served.version
        do {
            try json.object { json in
                json.member("model_name", version.name)
                json.member("model_version", version.label)
                if let id = request.document.id { json.member("id", id) }
                try json.array("outputs", of: tensors) { try Self.write($1, &$0, &tail) }
            }
        } catch {
            throw .notFiniteResult
        }
        var headers: HTTPHeaders = ["X-Model-Version": Self.modelHeader(version)]
        if let cache = CacheOutcome(response.sources) { headers["Cache-Status"] = cache.status }
        guard tensors.contains(where: \.isBinary) else {
            headers["Content-Type"] = "application/json"
            return Response(headers: headers, body: json.bytes)
        }
        headers["Content-Type"] = "application/octet-stream"
        headers[InferenceRequest.lengthHeader] = String(json.bytes.count)
        return Response(headers: headers, body: json.bytes + tail)
    }

    private static func write(_ tensor: OutputTensor, _ json: inout JSONWriter, _ tail: inout [UInt8]) throws {
        try json.object { json in
            json.member("name", tensor.name)
            json.member("datatype", tensor.datatype.rawValue)
            json.member("shape", tensor.shape)
            guard tensor.isBinary else { return try json.member("data") { try tensor.writeData(&$0) } }
            try tensor.requireFinite()
            let bytes = tensor.bytes
            tail += bytes
            json.object("parameters") { $0.member("binary_data_size", bytes.count) }
        }
    }

    private func outputs(of request: InferenceRequest) throws(Problem) -> [OutputTensor] {
        let images = try request.isNumeric ? features(called: "pixels", of: .numbers) : features(called: "image")
        let all = InferenceOutput.allCases.map { RequestedOutput(output: $0) }
        var tensors: [OutputTensor] = []
        for wanted in request.document.outputs ?? all {
            let rows: [[Float]]
            switch wanted.output {
            case .embedding:
                let normalization = request.document.options.normalization ?? .none
                rows = images.compactMap { $0.values.first.map(normalization.applied(to:)) }
            case .logits: rows = images.compactMap(\.logits)
            case .probabilities: rows = images.compactMap { $0.logits.map { $0.softmax().map { Float($0) } } }
            }
            // Outputs that the model doesn't have are left out if the request names no outputs.
            guard let columns = rows.first?.count else { continue }
            let classCount = wanted.classCount.map { min($0, columns) }
            guard classCount == nil || rows.joined().allSatisfy(\.isFinite) else { throw .notFiniteResult }
            tensors.append(
                OutputTensor(
                    name: wanted.output.rawValue, shape: [rows.count, classCount ?? columns],
                    elements: classCount.map { count in .texts(rows.flatMap { classes(of: $0, count) }) }
                        ?? .numbers(Array(rows.joined())),
                    isBinary: wanted.isBinary ?? request.document.prefersBinary))
        }
        return tensors
    }

    /// The largest of an image's numbers by class, as Triton's classification extension writes them: `value:index:label`, or
    /// `value:index` if the model has no labels.
    private func classes(of row: [Float], _ count: Int) -> [String] {
        let labels = response.served.configuration.labels
        return row.ranking(count).map { index in
            "\(row[index]):\(index)" + (labels.map { ":\($0[index])" } ?? "")
        }
    }
}
