import CheckpointFormats
import ReverseODE

/// The tensors that an inference request may ask for.
enum InferenceOutput: String, CaseIterable, Sendable {
    /// A tap's numbers, [images, dimension].
    case embedding
    /// The head's logits, [images, classes].
    case logits
    /// Their softmax, [images, classes].
    case probabilities
}

/// An output asked for.
struct RequestedOutput: Equatable, Sendable {
    let output: InferenceOutput
    /// Whether it is wanted in binary; nil if only the whole request says so, or nothing does.
    var isBinary: Bool?
}

/// The JSON of an inference request as it stands, its tensors' data not yet looked at.
struct InferenceDocument: Sendable {
    /// An input as it stands.
    struct Input: Sendable {
        var name: String?
        var datatype: String?
        var shape: [Int]?
        var binaryByteCount: Int?
        var data: JSONTensorData?
    }

    private(set) var id: String?
    private(set) var inputs: [Input] = []
    private(set) var outputs: [RequestedOutput]?
    private(set) var prefersBinary = false
    private(set) var options = RequestOptions()
    private let maximumElements: Int

    /// Ids of more characters than this, as JSON schemas count them, aren't echoed but refused.
    private static let maximumIDLength = 1024
    private static let maximumDimensions = 8

    /// Reads a document.
    ///
    /// - Parameter maximumElements: the most elements of an input's data.
    /// - Throws: 400 with the place in the document; 413.
    init(_ bytes: ArraySlice<UInt8>, maximumElements: Int) throws(Problem) {
        self.maximumElements = maximumElements
        try scanJSON(bytes) { scanner in
            try scanner.object { scanner, member in
                switch member {
                case "id": id = try Self.id(&scanner)
                case "parameters": try readParameters(&scanner)
                case "inputs":
                    try scanner.array { scanner in
                        guard inputs.isEmpty else { throw Problem(.malformedBody, InferenceRequest.oneInput) }
                        inputs.append(try input(&scanner))
                    }
                case "outputs": outputs = try Self.outputs(&scanner)
                default: throw Problem.unknown("member", member, known: ["id", "parameters", "inputs", "outputs"])
                }
            }
        }
    }

    private static func id(_ scanner: inout JSONScanner) throws -> String {
        let id = try scanner.string()
        guard id.unicodeScalars.count <= maximumIDLength else {
            throw scanner.malformed("the id is longer than \(maximumIDLength) characters")
        }
        return id
    }

    private mutating func readParameters(_ scanner: inout JSONScanner) throws {
        try scanner.object { scanner, member in
            switch member {
            case "at": try options.set(times: [try JSONPost.token(&scanner)])
            case "from": try options.set(places: [try scanner.string()])
            case "normalize":
                try options.set(normalization: try RequestOptions.choice(.normalize, try scanner.string()))
            case "binary_data_output": prefersBinary = try scanner.boolean()
            default:
                throw Problem.unknown("parameter", member, known: ["at", "from", "normalize", "binary_data_output"])
            }
        }
    }

    private func input(_ scanner: inout JSONScanner) throws -> Input {
        var input = Input()
        try scanner.object { scanner, member in
            switch member {
            case "name": input.name = try scanner.string()
            case "datatype": input.datatype = try scanner.string()
            case "shape": input.shape = try Self.shape(&scanner)
            case "parameters":
                try scanner.object { scanner, member in
                    guard member == "binary_data_size" else {
                        throw Problem.unknown("parameter of an input", member, known: ["binary_data_size"])
                    }
                    input.binaryByteCount = try scanner.natural()
                }
            case "data": input.data = try JSONTensorData(&scanner, maximumCount: maximumElements)
            default:
                throw Problem.unknown(
                    "member of an input", member, known: ["name", "datatype", "shape", "parameters", "data"])
            }
        }
        return input
    }

    private static func shape(_ scanner: inout JSONScanner) throws -> [Int] {
        var shape: [Int] = []
        try scanner.array { scanner in
            guard shape.count < maximumDimensions else { throw scanner.malformed("a shape has too many dimensions") }
            shape.append(try scanner.natural())
        }
        return shape
    }

    private static func outputs(_ scanner: inout JSONScanner) throws -> [RequestedOutput] {
        var outputs: [RequestedOutput] = []
        try scanner.array { scanner in
            var (name, isBinary): (String?, Bool?)
            try scanner.object { scanner, member in
                switch member {
                case "name": name = try scanner.string()
                case "parameters":
                    try scanner.object { scanner, member in
                        guard member == "binary_data" else {
                            throw Problem.unknown("parameter of an output", member, known: ["binary_data"])
                        }
                        isBinary = try scanner.boolean()
                    }
                default: throw Problem.unknown("member of an output", member, known: ["name", "parameters"])
                }
            }
            guard let name else { throw scanner.malformed("an output has no name") }
            guard let output = InferenceOutput(rawValue: name) else {
                throw Problem.unknown("output", name, known: InferenceOutput.allCases.map(\.rawValue))
            }
            guard !outputs.contains(where: { $0.output == output }) else {
                throw scanner.malformed("the output \(name) is asked for twice")
            }
            outputs.append(RequestedOutput(output: output, isBinary: isBinary))
        }
        return outputs
    }
}
