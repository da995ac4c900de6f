import Digests
import FeatureService
import Foundation
import HTTPServer
import TestBench
import TestFixtures
import Testing

@testable import API

/// The sample image in base64.
private func encodedImage() throws -> String { Data(try sampleImage()).base64EncodedString() }

/// The error of OpenAI's form, if the answer is one.
private struct OpenAIError: Equatable {
    let message, type, code: String
    let parameter: String?

    init?(_ answer: HTTPAnswer) {
        guard answer["Content-Type"] == "application/json", let document = try? answer.json(), document.count == 1,
            let error = document["error"] as? [String: Any], Set(error.keys) == ["message", "type", "param", "code"],
            let message = error["message"] as? String, let type = error["type"] as? String,
            let code = error["code"] as? String, !message.isEmpty
        else { return nil }
        (self.message, self.type, self.code, parameter) = (message, type, code, error["param"] as? String)
    }
}

extension HTTPAnswer {
    /// The embeddings of an answer in OpenAI's form.
    fileprivate func openAIVectors() throws -> [[Float]] {
        let data = try #require(try json()["data"] as? [[String: Any]], "\(text)")
        #expect(data.map { $0["index"] as? Int } == Array(0..<data.count))
        return try data.map { item in
            #expect(Set(item.keys) == ["object", "index", "embedding"] && item["object"] as? String == "embedding")
            if let numbers = item["embedding"] as? [Double] { return numbers.map { Float($0) } }
            let encoded = try #require(item["embedding"] as? String, "\(text)")
            let bytes = [UInt8](try #require(Data(base64Encoded: encoded)))
            return stride(from: 0, to: bytes.count, by: 4).map { at in
                Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) })
            }
        }
    }
}

@Suite("OpenAI's API", .timeLimit(.minutes(20)))
struct OpenAITests {
    @Test("An embedding is that of POST /embed scaled to unit length, bit for bit, as numbers and as base64")
    func sameNumbers() async throws {
        try await TestService.run { service async throws in
            let image = try encodedImage()
            let usual = try embedding(try await service.client.post("/embed?normalize=l2", try sampleImage())).map {
                Float($0)
            }
            #expect(abs(usual.reduce(0) { $0 + $1 * $1 } - 1) < 1e-4)
            for (format, isText) in [
                ("", false), (#","encoding_format":"float""#, false), (#","encoding_format":"base64""#, true),
            ] {
                let answer = try await service.client.postJSON(
                    "/v1/embeddings", #"{"input":"\#(image)","model":"a"\#(format)}"#)
                #expect(answer.status == 200 && answer["Content-Type"] == "application/json", "\(answer.text)")
                #expect(try answer.openAIVectors() == [usual])
                #expect(answer.text.contains(#""embedding":""#) == isText)
                let document = try answer.json()
                #expect(document["object"] as? String == "list" && document["model"] as? String == "a")
                #expect(
                    document["usage"] as? [String: Int] == ["prompt_tokens": 0, "total_tokens": 0, "images": 1])
                #expect(answer["X-Model-Version"]?.hasPrefix("a@") == true && answer["Server-Timing"] != nil)
            }
        }
    }

    @Test(
        "Images come alone or in an array, as base64, data: URIs or objects, with members that change nothing",
        arguments: [
            (#""IMAGE""#, 1), (#"{"image":"IMAGE"}"#, 1), (#"["IMAGE"]"#, 1),
            (#"["IMAGE",{"image":"data:image/png;base64,IMAGE"},"data:;base64,IMAGE"]"#, 3),
            (#"["IMAGE"],"modality":"image","user":"u""#, 1),
            (#""IMAGE","model":null,"encoding_format":null,"dimensions":null,"user":null,"modality":null"#, 1),
        ])
    func input(input: String, count: Int) async throws {
        try await TestService.run { service async throws in
            let body = #"{"input":\#(input.replacing("IMAGE", with: try encodedImage()))}"#
            let answer = try await service.client.postJSON("/v1/embeddings", body)
            let vectors = try answer.openAIVectors()
            #expect(vectors.count == count && Set(vectors).count == 1)
            #expect((try answer.json()["usage"] as? [String: Int])?["images"] == count)
        }
    }

    @Test(
        "What is wrong with a body is told with the member that is at fault",
        arguments: [
            ("", 400, "malformed_body", nil, "empty"), ("{", 400, "malformed_body", nil, "byte "),
            ("[]", 400, "malformed_body", nil, "must be an object"),
            ("{}", 400, "malformed_body", "input", "input is missing; the model embeds images"),
            (#"{"input":null}"#, 400, "malformed_body", "input", "is missing"),
            (#"{"input":[]}"#, 422, "no_images", "input", "send each image as a data: URI"),
            (#"{"input":"A photo of a cat"}"#, 400, "malformed_body", "input", "the model embeds images, not text"),
            (#"{"input":["IMAGE","a b"]}"#, 400, "malformed_body", "input", "input[1] is not base64"),
            (#"{"input":[9906,1917]}"#, 400, "malformed_body", "input", "input[0] must be an image, as a data: URI"),
            (#"{"input":[[9906]]}"#, 400, "malformed_body", "input", "not text or tokens; it is an array"),
            (#"{"input":7}"#, 400, "malformed_body", "input", "it is the number 7"),
            (#"{"input":[null]}"#, 400, "malformed_body", "input", "it is null"),
            (
                #"{"input":[{"text":"a cat"}]}"#, 400, "malformed_body", "input",
                "input[0].text is text; the model embeds"
            ),
            (#"{"input":[{}]}"#, 400, "malformed_body", "input", "input[0] has no member image"),
            (#"{"input":[{"imag":"IMAGE"}]}"#, 400, "unknown_parameter", "input", "did you mean image?"),
            (#"{"input":"http://a.b/c.jpg"}"#, 400, "malformed_body", "input", "is a URL, which the service"),
            (#"{"input":["IMAGE","SUkqAA=="]}"#, 415, "unsupported_image", "input", "input[1]: this is a TIFF"),
            (#"{"input":"SUkqAA=="}"#, 415, "unsupported_image", "input", "input: this is a TIFF"),
            (#"{"input":"test"}"#, 415, "unsupported_image", "input", "the model embeds images"),
            (#"{"input":"IMAGE","inputs":1}"#, 400, "unknown_parameter", nil, "did you mean input?"),
            (#"{"input":"IMAGE","model":7}"#, 400, "malformed_body", "model", "model must be a string"),
            (#"{"input":"IMAGE","model":"b"}"#, 404, "model_not_found", "model", #"the serving model is "a""#),
            (
                #"{"input":"IMAGE","encoding_format":"int8"}"#, 400, "invalid_parameter", "encoding_format",
                #""float" or"#
            ),
            (#"{"input":"IMAGE","modality":"text"}"#, 400, "invalid_parameter", "modality", "embeds images"),
            (#"{"input":"IMAGE","user":7}"#, 400, "malformed_body", "user", "must be a string"),
            (#"{"input":"IMAGE","dimensions":5}"#, 400, "invalid_parameter", "dimensions", "leave dimensions out"),
            (#"{"input":"IMAGE","dimensions":1.5}"#, 400, "malformed_body", "dimensions", "whole number"),
            (#"{"input":["IMAGE","IMAGE","IMAGE"]}"#, 413, "too_many_images", "input", "more than 2 images"),
        ] as [(String, Int, String, String?, String)])
    func wrongBody(body: String, status: Int, code: String, parameter: String?, says: String) async throws {
        try await TestService.run {
            $0.api.maximumImages = 2
        } _: { service async throws in
            let answer = try await service.client.postJSON(
                "/v1/embeddings", body.replacing("IMAGE", with: try encodedImage()))
            let error = try #require(OpenAIError(answer), "\(answer.text)")
            #expect(answer.status == status && error.code == code && error.type == "invalid_request_error")
            #expect(error.parameter == parameter && error.message.contains(says), "\(answer.text)")
        }
    }

    @Test("The length of the default tap's embeddings is accepted as dimensions, as is 0", arguments: [false, true])
    func dimensions(isZero: Bool) async throws {
        try await TestService.run { service async throws in
            let model = try #require(await service.service.active).model
            let dimension = try model.defaultTap().dimension
            let answer = try await service.client.postJSON(
                "/v1/embeddings", #"{"input":"\#(try encodedImage())","dimensions":\#(isZero ? 0 : dimension)}"#)
            #expect(try answer.openAIVectors().map(\.count) == [dimension])
        }
    }

    @Test(
        "Every error under /v1 has OpenAI's form, with the type that its status has there, also of paths that don't exist",
        arguments: [
            ("GET", "/v1/models/b", Named("no header", [:]), 404, "model_not_found", "invalid_request_error"),
            ("GET", "/v1/completions", Named("no header", [:]), 404, "not_found", "invalid_request_error"),
            ("GET", "/v1/embeddings", Named("no header", [:]), 405, "method_not_allowed", "invalid_request_error"),
            ("GET", "/v1/models?a=1", Named("no header", [:]), 400, "unknown_parameter", "invalid_request_error"),
            ("GET", "/v1/%", Named("no header", [:]), 400, "malformed_request", "invalid_request_error"),
            (
                "POST", "/v1/embeddings", Named("Content-Type", ["Content-Type": "text/plain"]), 415,
                "unsupported_media_type",
                "invalid_request_error"
            ),
            ("POST", "/v1/embeddings", Named("no header", [:]), 415, "unsupported_media_type", "invalid_request_error"),
            (
                "POST", "/v1/embeddings", Named("Content-Type", ["Content-Type": "multipart/mixed"]), 415,
                "unsupported_media_type",
                "invalid_request_error"
            ),
            (
                "POST", "/v1/embeddings", Named("Content-Length", ["Content-Length": "99999999"]), 413,
                "body_too_large", "invalid_request_error"
            ),
            (
                "POST", "/v1/embeddings", Named("X-Request-Timeout", ["X-Request-Timeout": "1e-9"]), 504,
                "deadline_exceeded", "server_error"
            ),
            (
                "GET", "/v1/models", Named("X-Long", excessiveHeaders), 431, "headers_too_large",
                "invalid_request_error"
            ),
        ] as [(String, String, Named<[String: String]>, Int, String, String)]
            + unknownCodings(
                (
                    "POST", "/v1/embeddings", Named("Transfer-Encoding", ["Transfer-Encoding": "gzip"]), 501,
                    "not_implemented", "server_error"
                )))
    func errors(
        method: String, target: String, headers: Named<[String: String]>, status: Int, code: String, type: String
    ) async throws {
        try await TestService.run { service async throws in
            var headers = headers.value
            if status != 415, method == "POST" { headers["Content-Type"] = "application/json" }
            let body =
                method == "POST" && headers["Transfer-Encoding"] == nil ? #"{"input":"\#(try encodedImage())"}"# : nil
            let answer = try await service.client.send(
                method, target, headers: headers, body: body.map { Array($0.utf8) })
            let error = try #require(OpenAIError(answer), "\(answer.text)")
            #expect(answer.status == status && error.code == code && error.type == type, "\(answer.text)")
            if status == 415 { #expect(answer["Accept-Post"] == "application/json") }
            if status == 405 { #expect(answer["Allow"] == "POST") }
        }
    }

    @Test("Bearer keys are asked for as everywhere, and 401 and 429 have the headers and types that clients retry by")
    func keys() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["a-right-key"]
            $0.api.wrongKeys.burst = 1
            $0.api.wrongKeys.interval = .seconds(3600)
        } _: { service async throws in
            let body = #"{"input":"\#(try encodedImage())"}"#
            func post(_ key: String?) async throws -> HTTPAnswer {
                let headers = key.map { ["Authorization": "Bearer \($0)"] } ?? [:]
                return try await service.client.postJSON("/v1/embeddings", body, headers: headers)
            }
            #expect(try await post("a-right-key").status == 200)
            for key in [nil, "wrong"] {
                let answer = try await post(key)
                #expect(answer.status == 401 && answer["WWW-Authenticate"] == "Bearer realm=\"headwater\"")
                #expect(OpenAIError(answer)?.type == "authentication_error")
            }
            let limited = try await post("wrong")
            #expect(limited.status == 429 && limited["Retry-After"] != nil)
            #expect(OpenAIError(limited)?.type == "rate_limit_error")
            #expect(try await service.client.get("/v1/models").status == 401)
        }
    }

    @Test("A service that is full, or has no model yet, answers 503 with Retry-After")
    func unavailable() async throws {
        let body = #"{"input":"\#(try encodedImage())"}"#
        try await TestService.run {
            $0.service.waitLimit = TestService.noWork
        } _: { service async throws in
            let answer = try await service.client.postJSON("/v1/embeddings", body)
            #expect(answer.status == 503 && answer["Retry-After"] != nil)
            #expect(OpenAIError(answer)?.type == "server_error" && OpenAIError(answer)?.code == "overloaded")
        }
        try await TestService.run {
            $0.starts = false
        } _: { service async throws in
            for answer in [
                try await service.client.postJSON("/v1/embeddings", body), try await service.client.get("/v1/models"),
                try await service.client.get("/v1/models/a"),
            ] {
                #expect(answer.status == 503 && answer["Retry-After"] != nil)
                #expect(OpenAIError(answer)?.code == "starting")
            }
        }
    }

    @Test("The model is listed, described and asked by its name and its aliases, each once, and by no other name")
    func names() async throws {
        let start = Int(Date.now.timeIntervalSince1970)
        try await TestService.run {
            $0.api.modelAliases = ["text-embedding-3-small", "org/clip", "a", "org/clip"]
        } _: { service async throws in
            let list = try await service.client.get("/v1/models").json()
            let models = try #require(list["data"] as? [[String: Any]])
            #expect(list["object"] as? String == "list")
            #expect(models.map { $0["id"] as? String } == ["a", "text-embedding-3-small", "org/clip"])
            for model in models {
                #expect(model["object"] as? String == "model" && model["owned_by"] as? String == "headwater")
                #expect((start...Int(Date.now.timeIntervalSince1970)).contains(try #require(model["created"] as? Int)))
                let name = try #require(model["id"] as? String)
                let path = "/v1/models/\(name.replacing("/", with: "%2F"))"
                #expect(try await service.client.get(path).json() as NSDictionary == model as NSDictionary)
                let answer = try await service.client.postJSON(
                    "/v1/embeddings", #"{"input":"\#(try encodedImage())","model":"\#(name)"}"#)
                #expect(answer.status == 200)
                #expect(try answer.json()["model"] as? String == "a", "the model's own name")
            }
            let other = try #require(OpenAIError(try await service.client.get("/v1/models/other")))
            #expect(other.parameter == "model" && other.message.contains(#"also called "text-embedding-3-small""#))
        }
    }

    @Test("After a swap, an alias means the new model, and the old name is no longer served")
    func swap() async throws {
        try await TestService.run {
            $0.api.modelAliases = ["mine"]
        } _: { service async throws in
            try service.addModel("b.safetensors", name: "b", seed: 7)
            _ = try await service.admin.postJSON("/admin/checkpoint?wait=true", #"{"path":"b.safetensors"}"#)
            for (name, status) in [("mine", 200), ("b", 200), ("a", 404)] {
                let answer = try await service.client.postJSON(
                    "/v1/embeddings", #"{"input":"\#(try encodedImage())","model":"\#(name)"}"#)
                #expect(answer.status == status, "\(answer.text)")
                if status == 200 { #expect(try answer.json()["model"] as? String == "b") }
            }
        }
    }
}
