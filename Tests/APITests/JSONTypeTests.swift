import Foundation
import Testing

@testable import API

/// A JSON document that the service reads: one that is sound, and the reader.
private struct ReadDocument: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let json: String
    /// Paths whose values may be of any type.
    var isFree: @Sendable (String) -> Bool = { _ in false }
    let read: @Sendable ([UInt8]) throws -> Void

    private static func images(_ names: [RequestOptions.Name]) -> @Sendable ([UInt8]) throws -> Void {
        { bytes in
            var options = RequestOptions()
            _ = try JSONPost(bytes, options: &options, names: names, maximumImages: 4)
        }
    }

    static let all = [
        ReadDocument(
            testDescription: "/embed",
            json:
                #"{"images":["AAAA","AAAA"],"at":[1,"end"],"from":["pooled","middle"],"normalize":"l2","encoding":"float"}"#,
            read: images([.at, .from, .taps, .normalize, .encoding])),
        ReadDocument(
            testDescription: "/embed with taps", json: #"{"images":["AAAA"],"taps":[{"time":1,"place":"pooled"}]}"#,
            read: images([.at, .from, .taps, .normalize, .encoding])),
        ReadDocument(testDescription: "/classify", json: #"{"images":["AAAA"],"top":3}"#, read: images([.top])),
        ReadDocument(testDescription: "/trajectory", json: #"{"images":["AAAA"]}"#, read: images([])),
        ReadDocument(
            testDescription: "infer",
            json:
                #"{"id":"1","parameters":{"at":1,"from":"pooled","normalize":"l2","binary_data_output":true,"timeout":1,"priority":1,"#
                + #""sequence_id":1,"sequence_start":true,"sequence_end":true},"model_name":"a","model_version":"1","#
                + #""inputs":[{"name":"image","datatype":"BYTES","shape":[2],"parameters":{},"data":["AAAA","AAAA"]}],"#
                + #""outputs":[{"name":"logits","parameters":{"binary_data":true}}]}"#,
            read: { _ = try InferenceDocument($0[...], maximumElements: 10) }),
        ReadDocument(
            testDescription: "infer with pixels",
            json: #"{"inputs":[{"name":"pixels","datatype":"FP32","shape":[1,2,1,1],"data":[[[[1]],[[2]]]]}]}"#,
            read: { _ = try InferenceDocument($0[...], maximumElements: 10) }),
        ReadDocument(
            testDescription: "infer in binary", json: #"{"inputs":[{"parameters":{"binary_data_size":4}}]}"#,
            read: { _ = try InferenceDocument($0[...], maximumElements: 10) }),
        ReadDocument(
            testDescription: "/admin/checkpoint", json: #"{"path":"a","sha256":"0"}"#, read: { _ = try LoadPost($0) }),
        ReadDocument(
            testDescription: "repository", json: #"{"ready":true,"parameters":{"unload_dependents":true}}"#,
            isFree: { $0.hasPrefix("parameters.") }, read: { _ = try RepositoryPost($0) }),
    ]

    /// Every path of the document and the document with the value there replaced by an object, or an object by a number.
    func variants() throws -> [(path: String, json: [UInt8])] {
        let document = try JSONSerialization.jsonObject(with: Data(json.utf8))
        return try Self.variants(of: document, at: "").map { path, variant in
            (path, [UInt8](try JSONSerialization.data(withJSONObject: variant, options: .fragmentsAllowed)))
        }
    }

    private static func variants(of value: Any, at path: String) -> [(path: String, value: Any)] {
        var variants: [(String, Any)] = [
            (path.isEmpty ? "the JSON" : path, value is [String: Any] ? 7 : [String: Any]())
        ]
        if let object = value as? [String: Any] {
            for (name, member) in object {
                variants += self.variants(of: member, at: path.isEmpty ? name : "\(path).\(name)").map {
                    path, variant in
                    (path, object.merging([name: variant]) { $1 })
                }
            }
        } else if let array = value as? [Any] {
            for index in array.indices {
                variants += self.variants(of: array[index], at: "\(path)[\(index)]").map { path, variant in
                    var array = array
                    array[index] = variant
                    return (path, array)
                }
            }
        }
        return variants
    }
}

@Suite("JSON of another type than asked for")
struct JSONTypeTests {
    private func detail(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return (error as? Problem)?.detail
        }
    }

    @Test(
        "A value of another type is named by its path, in every document that the service reads",
        arguments: ReadDocument.all)
    private func path(document: ReadDocument) throws {
        let variants = try document.variants()
        #expect(variants.count > 2)
        for (path, json) in variants where !document.isFree(path) {
            let detail = detail { try document.read(json) }
            #expect(detail?.hasPrefix("\(path) must be ") == true, "\(path): \(detail ?? "taken")")
        }
    }

    @Test(
        "The error says what the value must be and what it is",
        arguments: [
            (#"{"normalize":true}"#, #"normalize must be a string, "none" or "l2"; it is the boolean true"#),
            (#"{"encoding":4}"#, #"encoding must be a string, "float" or "base64"; it is the number 4"#),
            (#"{"images":"AAAA"}"#, "images must be an array of base64 strings; it is a string"),
            (#"{"images":["AAAA",null]}"#, "images[1] must be a base64 string; it is null"),
            (#"{"images":["AAAA","AAAA","AAAA","AA"]}"#, "images[3] is not base64"),
            (#"{"images":["https://example.org/a.jpg"]}"#, "images[0] is a URL"),
            (
                #"{"at":false}"#,
                #"at must be a number or a string, such as "end", or an array of these; it is the boolean false"#
            ),
            (#"{"at":[1,[]]}"#, #"at[1] must be a number or a string, such as "end"; it is an array"#),
            (#"{"from":3}"#, "from must be a string, or an array of these; it is the number 3"),
            (#"{"taps":[{"time":true,"place":"pooled"}]}"#, "taps[0].time must be a number or a string"),
            (
                #"{"taps":[{"time":1,"place":"pooled"},{"time":1,"place":1e3}]}"#,
                "taps[1].place must be a string; it is the number 1e3"
            ),
            (#"{"taps":[{"time":1}]}"#, "taps[0] needs both time and place"),
            (#"{"top":"3"}"#, "top must be a whole number of at least 0; it is a string"),
            (#"{"top":-1}"#, "top must be a whole number of at least 0; it is the number -1"),
            (#"{"top":1.5}"#, "it is the number 1.5"), (#"{"top":99999999999999999999}"#, "top is too large a number"),
            (#"{"normalize":"L2"}"#, #"normalize must be "none" or "l2""#),
            // What is no JSON at all is located by its byte.
            ("", "the body is empty"), (#"{"top":nothing}"#, "of the JSON: expected null"),
            (#"{top:1}"#, "a name in double quotation marks"),
            (#"{"top":1,}"#, "a name in double quotation marks"), (#"{"top":1 "at":1}"#, "expected ',' or '}'"),
            (#"{"images":["AAAA""#, "ends early, before ',' or ']'"),
            (#"{"images":["AAAA"#, "before the end of a string"),
            ("{\"images\":[\"AA\nAA\"]}", "a string contains a line break, which JSON writes as \\n"),
        ])
    func says(json: String, says: String) {
        var options = RequestOptions()
        let detail = detail {
            _ = try JSONPost(
                Array(json.utf8), options: &options, names: RequestOptions.Name.allCases, maximumImages: 4)
        }
        #expect(detail?.contains(says) == true, "\(detail ?? "taken")")
    }

    @Test("A member that is null counts as absent, at the top and in a tap's place as missing")
    func null() throws {
        var options = RequestOptions()
        let json = #"{"images":["AAAA"],"at":null,"from":null,"taps":null,"normalize":null,"encoding":null,"top":null}"#
        let post = try JSONPost(
            Array(json.utf8), options: &options, names: RequestOptions.Name.allCases, maximumImages: 4)
        #expect(post.images.count == 1 && options == RequestOptions())
        #expect(
            detail { _ = try JSONPost(Array(#"{"x":null}"#.utf8), options: &options, names: [], maximumImages: 1) }
                != nil)
    }

    @Test("UTF-8's byte-order mark is passed over; other encodings are named", arguments: ReadDocument.all)
    private func byteOrderMark(document: ReadDocument) throws {
        let isSound = detail { try document.read(Array(document.json.utf8)) }
        #expect(detail { try document.read([0xEF, 0xBB, 0xBF] + Array(document.json.utf8)) } == isSound)
        for encoding: String.Encoding in [
            .utf16, .utf16LittleEndian, .utf16BigEndian, .utf32LittleEndian, .utf32BigEndian,
        ] {
            let bytes = [UInt8](try #require(document.json.data(using: encoding)))
            #expect(detail { try document.read(bytes) }?.contains("send it in UTF-8") == true)
        }
    }
}
