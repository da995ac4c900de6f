import Foundation
import Testing

@testable import API

/// A request body of the binary tensor extension, made by hand.
struct BinaryBody {
    var json: String
    var tail: [UInt8] = []
    /// What the header says; the JSON's length if nil.
    var headerLength: String?

    var bytes: [UInt8] { Array(json.utf8) + tail }
    var headers: [String: String] {
        [
            "Inference-Header-Content-Length": headerLength ?? "\(json.utf8.count)",
            "Content-Type": "application/octet-stream",
        ]
    }

    static func prefixed(_ element: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: UInt32(element.count).littleEndian) { Array($0) } + element
    }
}

/// An answer's outputs by name, and the bytes behind its JSON.
struct InferenceAnswer {
    let json: [String: Any]
    private var tensors: [String: (shape: [Int], values: [Float])] = [:]
    /// The outputs of classes, by name.
    private(set) var classes: [String: (shape: [Int], texts: [String])] = [:]

    init(_ answer: HTTPAnswer) throws {
        let length = answer["Inference-Header-Content-Length"].flatMap { Int($0) }
        let (head, tail) = (
            answer.body[..<(length ?? answer.body.count)], answer.body[(length ?? answer.body.count)...]
        )
        json = try #require(try JSONSerialization.jsonObject(with: Data(head)) as? [String: Any], "\(answer.text)")
        var rest = tail
        for output in try #require(json["outputs"] as? [[String: Any]], "\(answer.text)") {
            let name = try #require(output["name"] as? String)
            let shape = try #require(output["shape"] as? [Int])
            if output["datatype"] as? String == "BYTES" {
                let size = (output["parameters"] as? [String: Int])?["binary_data_size"]
                let texts = try size.map { size in
                    defer { rest = rest.dropFirst(size) }
                    return try Self.texts(rest.prefix(size))
                }
                classes[name] = (shape, try texts ?? #require(output["data"] as? [String]))
                continue
            }
            #expect(output["datatype"] as? String == "FP32")
            if let parameters = output["parameters"] as? [String: Int], let size = parameters["binary_data_size"] {
                #expect(output["data"] == nil)
                let values = rest.prefix(size).withUnsafeBytes { bytes in
                    stride(from: 0, to: bytes.count, by: 4).map {
                        Float(
                            bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self)))
                    }
                }
                rest = rest.dropFirst(size)
                tensors[name] = (shape, values)
            } else {
                tensors[name] = (shape, try #require(output["data"] as? [Double]).map { Float($0) })
            }
        }
        #expect(rest.isEmpty)
    }

    private static func texts(_ bytes: ArraySlice<UInt8>) throws -> [String] {
        var rest = bytes
        var texts: [String] = []
        while !rest.isEmpty {
            let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            texts.append(String(decoding: rest.dropFirst(4).prefix(length), as: UTF8.self))
            rest = rest.dropFirst(4 + length)
        }
        return texts
    }

    var names: Set<String> { Set(tensors.keys) }

    func values(_ name: String, shape: [Int]) throws -> [Float] {
        let tensor = try #require(tensors[name])
        #expect(tensor.shape == shape && tensor.values.count == shape.reduce(1, *))
        return tensor.values
    }
}

/// Where the model of the tests is asked.
let inferencePath = "/v2/models/a/infer"

/// A request of one input.
func input(_ name: String, _ datatype: String, _ shape: String, _ more: String? = nil) -> String {
    let rest = more.map { "," + $0 } ?? ""
    return #"{"inputs":[{"name":"\#(name)","datatype":"\#(datatype)","shape":\#(shape)\#(rest)}]}"#
}

/// A request that is sound but for `more`.
func image(_ more: String) -> String {
    #"{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["\#(sample)"]}],\#(more)}"#
}

private let sample = Data((try? sampleImage()) ?? []).base64EncodedString()
