import JSON

/// The tensors that an inference request may ask for.
enum InferenceOutput: String, CaseIterable, Sendable {
    /// A tap's numbers, [images, dimension].
    case embedding
    /// The head's logits, [images, classes].
    case logits
    /// Their softmax, [images, classes].
    case probabilities
}

struct RequestedOutput: Equatable, Sendable {
    let output: InferenceOutput
    /// Whether it is requested in binary; nil if the output doesn't say so itself.
    var isBinary: Bool?
    /// How many of the likeliest classes are requested instead of the numbers, each as `value:index:label`.
    var classCount: Int?
}

/// The JSON of an inference request, with the data of its tensors unchecked. Members that are null count as absent, at every
/// level.
struct InferenceDocument: Sendable {
    /// An unchecked input.
    struct Input: Sendable {
        var name: String?
        var datatype: String?
        var shape: [Int]?
        var binaryByteCount: Int?
        var data: JSONTensorData?
    }

    /// The id, which the answer repeats.
    private(set) var id: String?
    /// The model that the body names in addition to the path.
    private(set) var modelName: String?
    /// The version that the body names; nil or empty if it names none.
    private(set) var modelVersion: String?
    private(set) var inputs: [Input] = []
    /// The outputs asked for; nil for all that the model has.
    private(set) var outputs: [RequestedOutput]?
    /// Whether outputs that don't state it themselves are binary.
    private(set) var prefersBinary = false
    private(set) var options = RequestOptions()
    /// The time that the request may take, counted from its first line; nil for the service's default.
    private(set) var timeout: Duration?

    /// The longest id, in characters as JSON schemas count them.
    private static let maximumIDLength = 1024
    private static let maximumDimensions = 8

    private enum Member: String, CaseIterable {
        case id, parameters, inputs, outputs
        case modelName = "model_name"
        case modelVersion = "model_version"
    }

    /// The document for a body that is a single image.
    static let ofFile = InferenceDocument(prefersBinary: true)

    private init(prefersBinary: Bool) {
        self.prefersBinary = prefersBinary
    }

    /// Reads a document.
    ///
    /// - Parameter maximumElements: the most elements of an input's data.
    /// - Throws: 400 with the place in the document; 413.
    init(_ bytes: ArraySlice<UInt8>, maximumElements: Int) throws(Problem) {
        try scanJSON(bytes) { scanner in
            try scanner.object(of: "member") { (scanner, member: Member) in
                switch member {
                case .id: id = try Self.id(&scanner)
                case .modelName: modelName = try scanner.string()
                case .modelVersion: modelVersion = try scanner.string()
                case .parameters: try readParameters(&scanner)
                case .inputs:
                    try scanner.array { scanner in
                        guard inputs.isEmpty else { throw Problem(.malformedBody, InferenceRequest.oneInput) }
                        inputs.append(try Self.input(&scanner, maximumElements: maximumElements))
                    }
                case .outputs: outputs = try Self.outputs(&scanner)
                }
            }
        }
    }

    private static func id(_ scanner: inout JSONReader) throws -> String {
        let id = try scanner.string()
        guard id.unicodeScalars.count <= maximumIDLength else {
            throw scanner.invalid("is longer than \(maximumIDLength) characters")
        }
        return id
    }

    /// The parameters of a request: the model's own, and those that Triton's clients send to any model.
    private enum Parameter: String, CaseIterable {
        case at, from, normalize, timeout, priority
        case binaryDataOutput = "binary_data_output"
        case sequenceID = "sequence_id"
        case sequenceStart = "sequence_start"
        case sequenceEnd = "sequence_end"
    }

    private mutating func readParameters(_ scanner: inout JSONReader) throws {
        try scanner.object(of: "parameter") { (scanner, parameter: Parameter) in
            switch parameter {
            case .at: try options.set(times: [try JSONPost.time(&scanner)])
            case .from: try options.set(places: [try scanner.string()])
            case .normalize:
                try options.set(normalization: try JSONPost.choice(.normalize, &scanner))
            case .binaryDataOutput: prefersBinary = try scanner.boolean()
            case .timeout:
                let microseconds = try scanner.natural()
                timeout = microseconds == 0 ? nil : .microseconds(microseconds)
            // Checked, and without effect, as in Triton for models that have neither priority levels nor state.
            case .priority: _ = try scanner.natural()
            case .sequenceID:
                if scanner.nextIsNumber {
                    _ = try scanner.natural()
                } else {
                    _ = try scanner.string("a whole number or a string")
                }
            case .sequenceStart, .sequenceEnd: _ = try scanner.boolean()
            }
        }
    }

    private enum InputMember: String, CaseIterable {
        case name, datatype, shape, parameters, data
    }

    private enum InputParameter: String, CaseIterable {
        case binaryDataSize = "binary_data_size"
    }

    private static func input(_ scanner: inout JSONReader, maximumElements: Int) throws -> Input {
        var input = Input()
        try scanner.object(of: "member of an input") { (scanner, member: InputMember) in
            switch member {
            case .name: input.name = try scanner.string()
            case .datatype: input.datatype = try scanner.string()
            case .shape: input.shape = try shape(&scanner)
            case .parameters:
                try scanner.object(of: "parameter of an input") { (scanner, parameter: InputParameter) in
                    switch parameter {
                    case .binaryDataSize: input.binaryByteCount = try scanner.natural()
                    }
                }
            case .data: input.data = try JSONTensorData(&scanner, maximumCount: maximumElements)
            }
        }
        return input
    }

    private static func shape(_ scanner: inout JSONReader) throws -> [Int] {
        var shape: [Int] = []
        try scanner.array { scanner in
            guard shape.count < maximumDimensions else {
                throw scanner.invalid("follows the \(maximumDimensions) dimensions that a shape may have")
            }
            shape.append(try scanner.natural())
        }
        return shape
    }

    private enum OutputMember: String, CaseIterable {
        case name, parameters
    }

    private enum OutputParameter: String, CaseIterable {
        case classification
        case binaryData = "binary_data"
    }

    private static func outputs(_ scanner: inout JSONReader) throws -> [RequestedOutput] {
        var outputs: [RequestedOutput] = []
        try scanner.array { scanner in
            let requested = try output(&scanner)
            guard !outputs.contains(where: { $0.output == requested.output }) else {
                throw scanner.invalid("requests \(requested.output.rawValue) twice")
            }
            outputs.append(requested)
        }
        return outputs
    }

    private static func output(_ scanner: inout JSONReader) throws -> RequestedOutput {
        var (name, isBinary, classCount): (String?, Bool?, Int?)
        try scanner.object(of: "member of an output") { (scanner, member: OutputMember) in
            switch member {
            case .name: name = try scanner.string()
            case .parameters:
                try scanner.object(of: "parameter of an output") { (scanner, parameter: OutputParameter) in
                    switch parameter {
                    case .binaryData: isBinary = try scanner.boolean()
                    case .classification:
                        let count = try scanner.natural()
                        classCount = count == 0 ? nil : count
                    }
                }
            }
        }
        guard let name else { throw scanner.invalid("has no name") }
        guard let output = InferenceOutput(rawValue: name) else {
            throw Problem.unknown("output", name, known: InferenceOutput.allCases.map(\.rawValue))
        }
        guard output != .embedding || classCount == nil else {
            throw scanner.malformed("classification applies to logits and probabilities, not to embeddings")
        }
        return RequestedOutput(output: output, isBinary: isBinary, classCount: classCount)
    }
}
