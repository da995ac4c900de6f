import Foundation
import Testing

@testable import API

/// The one input that these requests have.
private let tensor: String = {
    let image = Data((try? sampleImage()) ?? []).base64EncodedString()
    return #"{"name":"image","datatype":"BYTES","shape":[1],"data":["\#(image)"]}"#
}()

@Suite("What clients of the Open Inference Protocol write", .timeLimit(.minutes(20)))
struct InferenceClientTests {
    @Test("A member that is null counts as absent at every level, and where it is needed it is missing")
    func nullMembers() async throws {
        let nulls = #""parameters":null,"data":null"#
        let cases = [
            (
                #"{"id":null,"model_name":null,"model_version":null,"parameters":null,"inputs":[\#(tensor)],"outputs":null}"#,
                ""
            ),
            (
                #"{"parameters":{"at":null,"from":null,"normalize":null,"timeout":null,"priority":null,"#
                    + #""sequence_id":null,"sequence_start":null,"sequence_end":null,"binary_data_output":null},"#
                    + #""inputs":[\#(tensor)]}"#, ""
            ),
            (#"{"inputs":[\#(tensor.dropLast()),"parameters":null}]}"#, ""),
            (#"{"inputs":[\#(tensor.dropLast()),"parameters":{"binary_data_size":null}}]}"#, ""),
            (#"{"inputs":[\#(tensor)],"outputs":[{"name":"logits","parameters":null}]}"#, ""),
            (#"{"inputs":[\#(tensor)],"outputs":[{"name":"logits","parameters":{"binary_data":null}}]}"#, ""),
            (#"{"inputs":null}"#, "one tensor"), (#"{"inputs":[null]}"#, "inputs[0] must be an object"),
            (#"{"inputs":[{"name":null,"datatype":"BYTES","shape":[1]}]}"#, "needs a name"),
            (#"{"inputs":[{"name":"image","datatype":null,"shape":[1]}]}"#, "needs a name"),
            (#"{"inputs":[{"name":"image","datatype":"BYTES","shape":null}]}"#, "needs a name"),
            (input("image", "BYTES", "[1]", nulls), "either data"),
            (#"{"inputs":[\#(tensor)],"outputs":[{"name":null}]}"#, "no name"),
            (#"{"inputs":[\#(tensor)],"output":null}"#, "did you mean outputs?"),
            (#"{"inputs":[\#(tensor)],"id":nul}"#, "expected null"),
        ]
        try await TestService.run { service async throws in
            for (document, said) in cases {
                let answer = try await service.client.postJSON(inferencePath, document)
                #expect(
                    answer.status == (said.isEmpty ? 200 : 400) && (said.isEmpty || answer.text.contains(said)),
                    "\(answer.text)")
            }
            let index = try await service.admin.postJSON("/v2/repository/index", #"{"ready":null,"parameters":null}"#)
            #expect(index.status == 200)
            let load = #"{"parameters":{"config":null}}"#
            #expect(try await service.admin.postJSON("/v2/repository/models/a/load", load).status == 200)
            let path = try await service.admin.postJSON("/admin/checkpoint", #"{"path":null,"sha256":null}"#)
            #expect(path.status == 400 && path.text.contains("path is missing"))
        }
    }

    @Test("A body may name the model and version of its path, and is refused if it names another")
    func namedModel() async throws {
        try await TestService.run { service async throws in
            let version = try #require(await service.service.active?.version)
            func post(_ members: String, version: String? = nil) async throws -> HTTPAnswer {
                let path = version.map { "/v2/models/a/versions/\($0)/infer" } ?? inferencePath
                return try await service.client.postJSON(path, #"{\#(members),"inputs":[\#(tensor)]}"#)
            }
            let named = #""model_name":"a","model_version":"#
            #expect(try await post(#""id":"1","model_name":"a""#).status == 200)
            for (text, path) in [
                ("", nil), (version.label, nil), (version.sha256, nil), ("", version.label),
                (version.label, version.label), (version.sha256, version.label), (version.label, version.sha256),
            ] {
                #expect(try await post(named + #""\#(text)""#, version: path).status == 200, "\(text) \(path ?? "-")")
            }
            let other = try await post(#""model_name":"b""#)
            #expect(other.status == 400 && other.code == "malformed_body")
            #expect(
                try other.json()["detail"] as? String
                    == #"model_name is "b", but the path names "a"; name the same in both or leave model_name out"#)
            let older = try await post(named + #""3""#, version: version.label)
            #expect(older.status == 400 && older.text.contains("model_version is"))
            let gone = try await post(named + #""3""#)
            #expect(gone.status == 404 && gone.code == "model_not_found", "as if the path had named it")
        }
    }

    @Test(
        "Triton's parameters are taken: a timeout in microseconds ends the request, priority and sequences change nothing"
    )
    func schedulingParameters() async throws {
        try await TestService.run { service async throws in
            func post(_ parameters: String, headers: [String: String] = [:]) async throws -> HTTPAnswer {
                let document = #"{"parameters":{\#(parameters)},"inputs":[\#(tensor)]}"#
                return try await service.client.postJSON(inferencePath, document, headers: headers)
            }
            let plain = try InferenceAnswer(try await post(""))
            for parameters in [
                #""priority":1,"timeout":60000000"#, #""timeout":0,"priority":0"#,
                #""sequence_id":7,"sequence_start":true,"sequence_end":false"#, #""sequence_id":"seven""#,
            ] {
                let answer = try InferenceAnswer(try await post(parameters))
                #expect(try answer.values("logits", shape: [1, 3]) == plain.values("logits", shape: [1, 3]))
            }
            let long = ["X-Request-Timeout": "600"]
            #expect(try await post(#""timeout":1"#).code == "deadline_exceeded")
            #expect(try await post(#""timeout":1"#, headers: long).code == "deadline_exceeded")
            let short = ["X-Request-Timeout": "1e-6"]
            #expect(try await post(#""timeout":600000000"#, headers: short).code == "deadline_exceeded")
            for parameters in [#""timeout":-1"#, #""timeout":0.5"#, #""priority":"high""#, #""sequence_start":1"#] {
                #expect(try await post(parameters).code == "malformed_body", "\(parameters)")
            }
        }
    }
}
