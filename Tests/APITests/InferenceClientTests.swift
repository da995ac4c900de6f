import Foundation
import HTTPServer
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
                    == #"model_name is "b", but the path names "a"; give the same name in both, or leave model_name out"#
            )
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

    @Test(
        "Several types of a body are taken where another header says what it is, unless one of them is a form",
        arguments: [
            (["application/json", "application/octet-stream"], true),
            (["application/json", "multipart/form-data"], false),
            (["multipart/mixed; boundary=x"], false), (["application/json; charset=latin1"], false), ([], true),
        ] as [([String], Bool)])
    func severalTypes(types: [String], isTaken: Bool) {
        let headers = types.reduce(into: HTTPHeaders()) { $0.append(name: "Content-Type", value: $1) }
        do throws(Problem) {
            try InferenceRequest.requireNoForm(headers)
            #expect(isTaken)
        } catch {
            #expect(!isTaken && error.code == .unsupportedMediaType)
        }
        if types.count > 1 { #expect(throws: Problem.self, "elsewhere the type decides") { try BodyForm(headers) } }
    }

    @Test("Classes are the largest numbers with index and label, the same in JSON and in binary")
    func classification() async throws {
        try await TestService.run { service async throws in
            func post(_ parameters: String, name: String) async throws -> InferenceAnswer {
                let outputs = #"[{"name":"\#(name)","parameters":{\#(parameters)}}]"#
                return try InferenceAnswer(
                    try await service.client.postJSON(
                        inferencePath, #"{"inputs":[\#(tensor)],"outputs":\#(outputs)}"#))
            }
            let labels = try #require(await service.service.active?.configuration.labels)
            for name in ["logits", "probabilities"] {
                let values = try await post("", name: name).values(name, shape: [1, 3])
                let order = values.indices.sorted { values[$0] > values[$1] }
                let expected = order.map { "\(values[$0]):\($0):\(labels[$0])" }
                for (count, binary) in [(1, false), (2, true), (3, false), (1000, true)] {
                    let answer = try await post(#""classification":\#(count),"binary_data":\#(binary)"#, name: name)
                    let classes = try #require(answer.classes[name])
                    #expect(classes.shape == [1, min(count, 3)] && classes.texts == Array(expected.prefix(count)))
                }
                #expect(try await post(#""classification":0"#, name: name).values(name, shape: [1, 3]) == values)
            }
        }
    }

    @Test("The configuration states the model's tensors and the service's limits, as its metadata does")
    func configuration() async throws {
        try await TestService.run {
            $0.api.maximumImages = 5
            $0.service.cacheBytes = 1 << 20
        } _: { service async throws in
            let version = try #require(await service.service.active?.version)
            for path in ["", "/versions/\(version.label)"] {
                let configuration = try await service.client.get("/v2/models/a\(path)/config").json()
                #expect(configuration["name"] as? String == "a" && configuration["max_batch_size"] as? Int == 5)
                let inputs = try #require(configuration["input"] as? [[String: Any]])
                #expect(inputs.map { $0["name"] as? String } == ["image", "pixels"])
                #expect(inputs.map { $0["dims"] as? [Int] } == [[], [3, 16, 16]])
                let outputs = try #require(configuration["output"] as? [[String: Any]])
                #expect(outputs.map { $0["dims"] as? [Int] } == [[-1], [3], [3]])
                let batching = try #require(configuration["dynamic_batching"] as? [String: Any])
                #expect(batching["preferred_batch_size"] as? [Int] == [4])
                #expect((configuration["response_cache"] as? [String: Bool])?["enable"] == true)
                let parameters = try #require(configuration["parameters"] as? [String: [String: String]])
                #expect(parameters["sha256"]?["string_value"] == version.sha256)
            }
            for path in ["b/config", "b/stats", "a/versions/3/config", "a/versions/3/stats"] {
                #expect(try await service.client.get("/v2/models/\(path)").code == "model_not_found")
            }
        }
    }

    @Test("Statistics count the requests, images and steps of a model, by any of its operations")
    func statistics() async throws {
        try await TestService.run {
            $0.service.cacheBytes = 1 << 20
            $0.service.batchLimit = 1
        } _: { service async throws in
            let began = Date().timeIntervalSince1970 * 1000
            let image = try sampleImage()
            #expect(try await service.client.post("/embed", image).status == 200)
            #expect(try await service.client.post("/embed", image).status == 200, "from memory")
            #expect(try await service.client.postJSON(inferencePath, #"{"inputs":[\#(tensor)]}"#).status == 200)
            #expect(try await service.client.post("/embed", Array("II*\0".utf8)).status == 415)
            #expect(try await service.client.post("/embed?at=0.5", image).status == 422)
            let version = try #require(await service.service.active?.version.label)
            for path in ["", "/a", "/a/versions/\(version)"] {
                let answer = try await service.client.get("/v2/models\(path)/stats").json()
                let models = try #require(answer["model_stats"] as? [[String: Any]])
                let model = try #require(models.first)
                #expect(models.count == 1 && model["name"] as? String == "a" && model["version"] as? String == version)
                let last = try #require(model["last_inference"] as? Double)
                #expect(last >= began.rounded(.down) && last <= Date().timeIntervalSince1970 * 1000)
                #expect(model["inference_count"] as? Int == 3)
                let totals = try #require(model["inference_stats"] as? [String: [String: Int]])
                #expect(
                    totals.mapValues { $0["count"] } == [
                        "success": 3, "fail": 2, "queue": 3, "compute_input": 2, "compute_infer": 2,
                        "compute_output": 3, "cache_hit": 1, "cache_miss": 3,
                    ])
                for name in ["success", "fail", "compute_input", "compute_infer", "compute_output", "cache_miss"] {
                    #expect(totals[name]?["ns"] ?? 0 > 0, "\(name)")
                }
                let batches = try #require(model["batch_stats"] as? [[String: Any]])
                #expect(batches.count == 1 && batches.first?["batch_size"] as? Int == 1)
                let steps = try #require(batches.first?["compute_infer"] as? [String: Int])
                #expect(steps["count"] == model["execution_count"] as? Int && steps["ns"] ?? 0 > 0)
                let counted = try await service.admin.get("/metrics").text
                #expect(counted.contains("\nheadwater_steps_total \(try #require(steps["count"]))\n"))
            }
        }
    }
}
