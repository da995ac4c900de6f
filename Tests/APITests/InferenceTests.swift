import Files
import Foundation
import TestFixtures
import Testing
import UntrustedText

@testable import API

/// A document that is refused.
private struct Malformed: Sendable {
    let document: String
    let status: Int
    let said: String

    init(_ document: String, _ status: Int, _ said: String) {
        self.document = document
        self.status = status
        self.said = said
    }

    static let cases = [
        Malformed("{}", 400, "inputs"),
        Malformed("[]", 400, "the JSON must be an object"),
        Malformed(#"{"inputs":[]}"#, 400, "one tensor"),
        Malformed(#"{"inputs":[{},{}]}"#, 400, "one tensor"),
        Malformed(#"{"inputs":[{}]}"#, 400, "needs a name"),
        Malformed(#"{"input":[]}"#, 400, "did you mean inputs?"),
        Malformed(input("picture", "BYTES", "[1]"), 400, #"unknown input "picture""#),
        Malformed(input("image", "FP32", "[1]"), 400, "must be BYTES"),
        Malformed(input("pixels", "BYTES", "[1,3,16,16]"), 400, "must be FP32"),
        Malformed(input("image", "BYTES", "[-1]"), 400, "whole number"),
        Malformed(input("image", "BYTES", "[1,1]"), 400, "must be [N]"),
        Malformed(input("image", "BYTES", "[1.5]"), 400, "whole number"),
        Malformed(input("image", "BYTES", "[]"), 400, "must be [N]"),
        Malformed(input("image", "BYTES", "[0]"), 422, "no image"),
        Malformed(input("image", "BYTES", "[33]"), 413, "32 images"),
        Malformed(input("image", "BYTES", "[9223372036854775807]"), 413, "32 images"),
        Malformed(input("image", "BYTES", "[9223372036854775808]"), 400, "too large"),
        Malformed(input("image", "BYTES", "[1,1,1,1,1,1,1,1,1]"), 400, "dimensions"),
        Malformed(input("pixels", "FP32", "[1,3,16,17]"), 400, "[N, 3, 16, 16]"),
        Malformed(input("pixels", "FP32", "[1,16,16,3]"), 400, "[N, 3, 16, 16]"),
        Malformed(input("pixels", "FP32", "[9223372036854775807,3,16,16]"), 413, "32 images"),
        Malformed(input("pixels", "FP32", "[1,3,16,16]", #""data":[1,2]"#), 400, "must be a flat array"),
        Malformed(input("pixels", "FP32", "[1,3,16,16]", #""data":[[1,2],[3]]"#), 400, "ragged"),
        Malformed(input("pixels", "FP32", "[1,3,16,16]", #""data":[1,[2]]"#), 400, "mixes"),
        Malformed(input("pixels", "FP32", "[1,3,16,16]", #""data":[[2],1]"#), 400, "mixes"),
        Malformed(input("pixels", "FP32", "[1,3,16,16]", #""data":[1,"a"]"#), 400, "mixes"),
        Malformed(input("pixels", "FP32", "[1,3,16,16]", #""data":[[[[[[[[[1]]]]]]]]]"#), 400, "too deeply"),
        Malformed(input("pixels", "FP32", "[1,3,16,16]", #""data":{}"#), 400, "inputs[0].data must be an array"),
        Malformed(
            input("pixels", "FP32", "[1,3,16,16]", #""data":\#([Int](repeating: 0, count: 24_577))"#), 413, "24576"),
        Malformed(
            input("pixels", "FP32", "[1,3,16,16]", #""data":[1e39\#(String(repeating: ",0", count: 767))]"#), 400,
            "not finite"),
        Malformed(input("image", "BYTES", "[1]", #""data":["AAA"]"#), 400, "image[0] is not base64"),
        Malformed(input("image", "BYTES", "[1]", #""data":[5]"#), 400, "base64 strings"),
        Malformed(input("image", "BYTES", "[2]", #""data":["AAAA"]"#), 400, "must be a flat array"),
        Malformed(
            input("image", "BYTES", "[1]", #""data":["AAAA"],"parameters":{"binary_data_size":0}"#), 400, "either data"),
        Malformed(input("image", "BYTES", "[1]"), 400, "either data"),
        Malformed(input("image", "BYTES", "[1]", #""parameters":{"binary_data_size":-1}"#), 400, "whole number"),
        Malformed(input("image", "BYTES", "[1]", #""parameters":{"binary_data_size":9}"#), 400, "0 bytes follow"),
        Malformed(input("image", "BYTES", "[1]", #""parameters":{"size":9}"#), 400, "binary_data_size"),
        Malformed(input("image", "BYTES", "[1]", #""datatyp":"x""#), 400, "did you mean datatype?"),
        Malformed(image(#""outputs":[]"#), 400, "outputs is empty"),
        Malformed(image(#""outputs":[{"name":"logit"}]"#), 400, "did you mean logits?"),
        Malformed(image(#""outputs":[{"name":"logits"},{"name":"logits"}]"#), 400, "twice"),
        Malformed(image(#""outputs":[{}]"#), 400, "no name"),
        Malformed(
            image(#""outputs":[{"name":"logits","parameters":{"classes":2}}]"#), 400, "known ones are classification"),
        Malformed(
            image(#""outputs":[{"name":"embedding","parameters":{"classification":2}}]"#), 400, "not to embeddings"),
        Malformed(
            image(#""outputs":[{"name":"logits","parameters":{"classification":-1}}]"#), 400,
            "outputs[0].parameters.classification"),
        Malformed(
            image(#""outputs":[{"name":"logits","parameters":{"binary_data":1}}]"#), 400,
            "outputs[0].parameters.binary_data must be true or false"),
        Malformed(image(#""parameters":{"top":2}"#), 400, "known ones are at, from"),
        Malformed(image(#""parameters":{"at":"soon"}"#), 400, "not a time"),
        Malformed(image(#""parameters":{"at":[1]}"#), 400, "parameters.at must be"),
        Malformed(image(#""parameters":{"from":"x"}"#), 400, "places are"),
        Malformed(image(#""parameters":{"at":0.5}"#), 422, "not on this model's grid"),
        Malformed(image(#""id":5"#), 400, "id must be a string"),
        Malformed(image(#""id":"\#(String(repeating: "x", count: 1025))""#), 400, "longer than 1024"),
        // As long as may be: characters are counted, not bytes.
        Malformed(image(#""id":"\#(String(repeating: "é", count: 1024))","outputs":[]"#), 400, "outputs is empty"),
        Malformed(input("image", "BYTES", "[1]", #""data":["AAAA"]"#), 415, "image[0]: "),
    ]
}

@Suite("Open Inference Protocol", .timeLimit(.minutes(20)))
struct InferenceTests {
    @Test("Server, model and version describe themselves and are ready; any other name or version is 404")
    func descriptions() async throws {
        try await TestService.run { service async throws in
            let server = try await service.client.get("/v2").json()
            #expect(server["name"] as? String == "headwater" && server["version"] as? String == "1.2.3")
            #expect(
                server["extensions"] as? [String] == [
                    "binary_tensor_data", "classification", "model_configuration", "parameters", "schedule_policy",
                    "statistics",
                ])
            for check in ["live", "ready"] {
                #expect(try await service.client.get("/v2/health/\(check)").status == 200)
            }

            let version = try #require(await service.service.active?.version)
            #expect(
                try await service.client.get("/v2/models/a%2Fready").status == 404, "an escaped slash separates nothing"
            )
            for path in ["", "/versions/\(version.label)", "/versions/\(version.sha256)"] {
                let model = try await service.client.get("/v2/models/a" + path).json()
                #expect(model["versions"] as? [String] == [version.label] && model["name"] as? String == "a")
                let inputs = try #require(model["inputs"] as? [[String: Any]])
                #expect(inputs.map { $0["shape"] as? [Int] } == [[-1], [-1, 3, 16, 16]])
                #expect(inputs.map { $0["datatype"] as? String } == ["BYTES", "FP32"])
                let outputs = try #require(model["outputs"] as? [[String: Any]])
                #expect(outputs.map { $0["shape"] as? [Int] } == [[-1, -1], [-1, 3], [-1, 3]])
                let ready = try await service.client.get("/v2/models/a\(path)/ready").json()
                #expect(ready["ready"] as? Bool == true && ready["name"] as? String == "a")
            }
            for path in ["b", "b/ready", "a/versions/1", "a/versions/1/ready", "A"] {
                let answer = try await service.client.get("/v2/models/" + path)
                #expect(answer.status == 404 && answer.code == "model_not_found")
            }
            for path in ["b/infer", "a/versions/\(version.sha256.dropLast())/infer"] {
                let answer = try await service.client.postJSON("/v2/models/" + path, "{}")
                #expect(
                    answer.code == "model_not_found" && answer.text.contains(#""error":"no served model has this name"#)
                )
            }
        }
    }

    @Test("An image gives the numbers of /embed and /classify, in JSON and in binary, however it is sent")
    func images() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let expected = try embedding(try await service.client.post("/embed?normalize=l2", image)).map { Float($0) }
            let logits = try #require(
                try results(await service.client.post("/classify", image))[0]["logits"] as? [Double]
            ).map { Float($0) }

            let base64 = Data(image).base64EncodedString()
            let files = #""data":["\#(base64)","\#(base64)"],"name":"image","datatype":"BYTES","shape":[2]"#
            let json = #"{"id":"q\"1","parameters":{"normalize":"l2"},"inputs":[{\#(files)}]}"#
            let text = try InferenceAnswer(try await service.client.postJSON(inferencePath, json))
            #expect(text.json["id"] as? String == "q\"1" && text.json["model_name"] as? String == "a")
            #expect(text.names == ["embedding", "logits", "probabilities"])
            #expect(try text.values("embedding", shape: [2, 48]) == expected + expected)
            #expect(try text.values("logits", shape: [2, 3]) == logits + logits)
            #expect(abs(try text.values("probabilities", shape: [2, 3]).reduce(0, +) - 2) < 1e-5)

            let element = BinaryBody.prefixed(image)
            let version = try #require(text.json["model_version"] as? String)
            let parameters = #"{"normalize":"l2","binary_data_output":true}"#
            let outputs = #"[{"name":"logits","parameters":{"binary_data":false}},{"name":"embedding"}]"#
            let tensor = input(
                "image", "BYTES", "[2]", #""parameters":{"binary_data_size":\#(2 * element.count)}"#)
            let body = BinaryBody(
                json: #"{"parameters":\#(parameters),"outputs":\#(outputs),"# + tensor.dropFirst(),
                tail: element + element)
            let answer = try await service.client.post(
                "/v2/models/a/versions/\(version)/infer", body.bytes, headers: body.headers)
            #expect(answer["Content-Type"] == "application/octet-stream")
            let binary = try InferenceAnswer(answer)
            #expect(binary.names == ["embedding", "logits"] && binary.json["id"] == nil)
            #expect(try binary.values("embedding", shape: [2, 48]) == expected + expected)
            #expect(try binary.values("logits", shape: [2, 3]) == logits + logits)

            let raw = try await service.client.post(
                inferencePath, image, headers: ["Inference-Header-Content-Length": "0"])
            #expect(raw["Inference-Header-Content-Length"] != nil)
            #expect(try InferenceAnswer(raw).values("logits", shape: [1, 3]) == logits)
        }
    }

    @Test("A normalised input gives the same numbers flat, nested and in binary; the state at its own time is itself")
    func pixels() async throws {
        try await TestService.run { service async throws in
            let numbers = (0..<2 * 768).map { Float($0 % 37) / 16 - 1 }
            func split(_ items: ArraySlice<Float>, by length: Int) -> [ArraySlice<Float>] {
                stride(from: items.startIndex, to: items.endIndex, by: length).map { items[$0..<$0 + length] }
            }
            let nested: [[[[Float]]]] = split(numbers[...], by: 768).map { image in
                split(image, by: 256).map { channel in split(channel, by: 16).map { Array($0) } }
            }
            func json(_ data: String) -> String {
                #"{"inputs":[{"name":"pixels","datatype":"FP32","shape":[2,3,16,16],\#(data)}],"#
                    + #""parameters":{"at":1,"from":"state"},"outputs":[{"name":"embedding"}]}"#
            }
            let binary = BinaryBody(
                json: json(#""parameters":{"binary_data_size":\#(4 * numbers.count)}"#), tail: NumPyArray.bytes(numbers)
            )
            for answer in [
                try await service.client.postJSON(inferencePath, json(#""data":\#(numbers)"#)),
                try await service.client.postJSON(inferencePath, json(#""data":\#(nested)"#)),
                try await service.client.post(inferencePath, binary.bytes, headers: binary.headers),
            ] {
                let answer = try InferenceAnswer(answer)
                #expect(try answer.values("embedding", shape: [2, 768]) == numbers)
                #expect(answer.names == ["embedding"])
            }
        }
    }

    @Test("A model without a head answers the embedding alone, and refuses logits that are asked for")
    func headless() async throws {
        try await TestService.run {
            $0.hasHead = false
        } _: { service async throws in
            let image = try sampleImage()
            let answer = try await service.client.post(
                inferencePath, image, headers: ["Inference-Header-Content-Length": "0"])
            #expect(try InferenceAnswer(answer).names == ["embedding"])
            let base64 = Data(image).base64EncodedString()
            let logits =
                #"{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["\#(base64)"]}],"#
                + #""outputs":[{"name":"logits"}]}"#
            #expect(try await service.client.postJSON(inferencePath, logits).code == "no_head")
        }
    }

    // One service for all: a service a case would take as long as all other tests here together.
    @Test("A malformed document is refused and says where")
    func malformed() async throws {
        try await TestService.run { service async throws in
            for malformed in Malformed.cases {
                let answer = try await service.client.postJSON(inferencePath, malformed.document)
                let error = try #require(try answer.json()["error"] as? String)
                #expect(
                    answer.status == malformed.status && error.contains(malformed.said), "\(answer.status): \(error)")
            }
        }
    }

    @Test(
        "A body whose parts are not as long as they say is refused",
        arguments: [
            ("-1", nil, [], "one number"), ("+5", nil, [], "one number"), ("", nil, [], "one number"),
            ("5x", nil, [], "one number"), ("99999999999999999999", nil, [], "one number"),
            ("100000", nil, [], "but the body has"), ("10", nil, [], "ends early"),
            (nil, 4, [1, 0, 0, 0], "should have 1 bytes by its length, but only 0"),
            (nil, 8, [255, 255, 255, 255, 1, 2, 3, 4], "should have 4294967295 bytes"),
            (nil, 3, [1, 0, 0], "is cut off within its length"), (nil, 0, [], "data has 0 BYTES elements"),
            (nil, 10, [1, 0, 0, 0, 7, 1, 0, 0, 0, 7], "5 bytes follow the last"),
            (nil, 4, [], "0 bytes follow the JSON"), (nil, 4, [0, 0, 0, 0, 0], "5 bytes follow the JSON"),
            (nil, Int.max, [0], "1 bytes follow the JSON"),
        ] as [(String?, Int?, [UInt8], String)])
    func malformedTail(headerLength: String?, size: Int?, tail: [UInt8], said: String) async throws {
        let parameters = #""parameters":{"binary_data_size":\#(size ?? 0)}"#
        let body = BinaryBody(
            json: input("image", "BYTES", "[1]", parameters), tail: tail, headerLength: headerLength)
        try await TestService.run { service async throws in
            let answer = try await service.client.post(inferencePath, body.bytes, headers: body.headers)
            let error = try #require(try answer.json()["error"] as? String)
            #expect(answer.status == 400 && error.contains(said), "\(answer.status): \(error)")
        }
    }

    @Test(
        "Numbers in binary are refused unless there are four bytes for each, all finite; what overflows the model is 422"
    )
    func malformedNumbers() async throws {
        try await TestService.run { service async throws in
            func post(_ numbers: [Float], dropping bytes: Int = 0) async throws -> HTTPAnswer {
                let tail = Array(NumPyArray.bytes(numbers).dropLast(bytes))
                let body = BinaryBody(
                    json: input(
                        "pixels", "FP32", "[1,3,16,16]", #""parameters":{"binary_data_size":\#(tail.count)}"#),
                    tail: tail)
                return try await service.client.post(inferencePath, body.bytes, headers: body.headers)
            }
            let zeros = [Float](repeating: 0, count: 768)
            #expect(try await post(zeros).status == 200)
            #expect(try await post(zeros, dropping: 1).text.contains("4 bytes for each of 768"))
            #expect(try await post(zeros + [0]).text.contains("4 bytes for each of 768"))
            #expect(try await post([.nan] + Array(zeros.dropLast())).text.contains("not finite"))
            let huge = try await post([Float](repeating: .greatestFiniteMagnitude, count: 768))
            #expect(huge.status == 422 && huge.text.contains("pixels[0]"), "\(huge.text)")
        }
    }

    @Test("Key, form, timeout and queue are as everywhere")
    func asEverywhere() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["key"]
        } _: { service async throws in
            #expect(try await service.client.get("/v2/health/ready").status == 200)
            for path in ["/v2", "/v2/models/a", "/v2/models/a/ready"] {
                #expect(try await service.client.get(path).status == 401)
            }
            #expect(try await service.client.postJSON(inferencePath, "{}").status == 401)
            let key = ["X-API-Key": "key"]
            let form = try await service.client.post(
                inferencePath, [], headers: key.merging(["Content-Type": Form.contentType]) { $1 })
            #expect(form.code == "unsupported_media_type")
            let late = try await service.client.post(
                inferencePath, try sampleImage(),
                headers: key.merging(["X-Request-Timeout": "1e-9", "Inference-Header-Content-Length": "0"]) { $1 })
            #expect(late.code == "deadline_exceeded")
        }
        try await TestService.run {
            $0.service.waitLimit = TestService.noWork
        } _: { service async throws in
            let one = input("image", "BYTES", "[1]", #""data":["AAAA"]"#)
            let refused = try await service.client.postJSON(inferencePath, one)
            #expect(refused.code == "overloaded" && refused["Retry-After"] != nil)
            #expect(try await service.client.get("/v2/models/a/ready").code == "overloaded")
        }
    }
}

@Suite("Model repository", .timeLimit(.minutes(20)))
struct RepositoryTests {
    private func index(_ service: TestService, _ body: String = "") async throws -> [[String: String]] {
        let answer = try await service.admin.post("/v2/repository/index", Array(body.utf8))
        return try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [[String: String]])
    }

    @Test("The index names models as their files do; loading one by its name serves it under that name")
    func load() async throws {
        try await TestService.run { service async throws in
            try service.addModel("tonight.safetensors", name: "b", seed: 2)
            try Data("nonsense".utf8).write(to: URL(filePath: service.folder + "/broken.safetensors"))
            let before = try await index(service)
            #expect(before.contains { $0["name"] == "a" && $0["state"] == "READY" && $0["version"]?.count == 12 })
            #expect(before.contains { $0["name"] == "b" && $0["state"] == "UNAVAILABLE" && $0["version"] == "" })
            #expect(before.contains { $0["name"] == "broken" && $0["reason"]?.contains("broken.safetensors") == true })
            #expect(try await index(service, #"{"ready":true}"#).count == 1)

            #expect(try await service.admin.postJSON("/v2/repository/models/b/load", "{}").status == 200)
            #expect(try await service.client.get("/v2/models/b/ready").status == 200)
            #expect(try await service.client.get("/v2/models/a/ready").status == 404)
            let after = try await index(service, #"{"ready":true}"#)
            #expect(after.map { $0["name"] } == ["b"])
            let image = try sampleImage()
            let answer = try await service.client.post(
                "/v2/models/b/infer", image, headers: ["Inference-Header-Content-Length": "0"])
            #expect(answer.status == 200 && answer["X-Model-Version"]?.hasPrefix("b@") == true)
        }
    }

    @Test("A link and the file that it leads to are one model, which loads by its name and is then ready")
    func links() async throws {
        try await TestService.run { service async throws in
            try service.addModel("v2.safetensors", name: "b", seed: 2)
            try FileManager.default.createSymbolicLink(
                atPath: service.folder + "/latest.safetensors", withDestinationPath: "v2.safetensors")
            let loaded = try await service.admin.postJSON("/v2/repository/models/b/load", "")
            #expect(loaded.status == 200, "\(loaded.text)")
            let states = try await index(service).filter { $0["name"] == "b" }.map { $0["state"] }
            #expect(states == ["READY", "READY"])
        }
    }

    @Test(
        "A file loads whatever bytes its name has, by its model's name and by the path that is told of it",
        arguments: [[0xE9, 0x66], Array("\u{301}f".utf8), Array("\n".utf8)])
    func names(bytes: [UInt8]) async throws {
        try await TestService.run { service async throws in
            let file = String(pathBytes: bytes + Array(".safetensors".utf8))
            try service.addModel(file, name: "b", seed: 2)
            #expect(try await index(service).contains { $0["name"] == "b" && $0["version"] == "" })
            #expect(try await service.admin.postJSON("/v2/repository/models/b/load", "").status == 200)
            #expect(try await index(service).contains { $0["name"] == "b" && $0["state"] == "READY" })
            let active = try service.record(try await service.admin.get("/admin/checkpoint"), "active")
            #expect(active?["source"] as? String == file)

            #expect(try await service.admin.post("/admin/rollback?wait=true", []).status == 200)
            let body = try JSONSerialization.data(withJSONObject: ["path": file])
            let loaded = try await service.admin.postJSON(
                "/admin/checkpoint?wait=true", String(decoding: body, as: UTF8.self))
            #expect(try service.record(loaded, "active")?["source"] as? String == file, "\(loaded.text)")
        }
    }

    @Test("The index names a file that is no model without what could command a terminal")
    func brokenName() async throws {
        try await TestService.run { service async throws in
            let file = String(pathBytes: [0xE9, 0x1B] + Array(".safetensors".utf8))
            #expect(
                symlink((service.folder + "/a.safetensors").systemPath, (service.folder + "/" + file).systemPath) == 0)
            let reasons = try await index(service).compactMap { $0["reason"] }
            #expect(reasons.contains { $0.hasPrefix(#"\xE9\u{1B}.safetensors: "#) }, "\(reasons)")
        }
    }

    @Test("What can't be loaded or unloaded says why, and the model that served serves on")
    func refusals() async throws {
        try await TestService.run { service async throws in
            try service.addModel("b1.safetensors", name: "b", seed: 2)
            try service.addModel("b2.safetensors", name: "b", seed: 3)
            try service.addModel("c.safetensors", name: "c", seed: 4)
            for (target, body, status, code) in [
                ("b/load", "", 409, "model_ambiguous"), ("d/load", "", 404, "model_not_found"),
                ("c/load", #"{"parameters":{"config":"{}"}}"#, 400, "invalid_parameter"),
                ("c/load", #"{"config":1}"#, 400, "unknown_parameter"), ("c/load", "[", 400, "malformed_body"),
                ("a/unload", #"{"parameters":{"unload_dependents":false}}"#, 409, "model_in_use"),
                ("d/unload", "", 404, "model_not_found"),
            ] {
                let answer = try await service.admin.postJSON("/v2/repository/models/" + target, body)
                #expect(answer.status == status && answer.code == code, "\(target): \(answer.text)")
            }
            #expect(try await service.admin.postJSON("/v2/repository/models/c/unload", "").status == 200)
            #expect(try await service.client.get("/v2/models/a/ready").status == 200)
            #expect(try await service.client.post("/v2/repository/index", []).status == 404)
        }
    }

    @Test("Without a model directory the index has the model that serves, and nothing can be loaded")
    func noDirectory() async throws {
        try await TestService.run {
            $0.hasDirectory = false
            $0.admin.token = "token"
        } _: { service async throws in
            #expect(try await service.admin.post("/v2/repository/index", []).status == 401)
            let token = ["Authorization": "Bearer token"]
            let answer = try await service.admin.post("/v2/repository/index", [], headers: token)
            #expect(answer.text.contains(#""name":"a""#) && answer.text.contains("READY"))
            let load = try await service.admin.post("/v2/repository/models/a/load", [], headers: token)
            #expect(load.code == "no_model_directory")
        }
    }
}
