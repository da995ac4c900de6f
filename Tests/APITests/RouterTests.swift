import Testing

@testable import API

@Suite("Routes")
struct RouterTests {
    private let router = Router<PublicAPI>()

    @Test(
        "A path's parameters are its segments, whatever they hold",
        arguments: [
            ("/v2/models/a", "inferenceModel", ["model": "a"]),
            ("/v2/models/ready", "inferenceModel", ["model": "ready"]),
            ("/v2/models/ready/ready", "inferenceModelReady", ["model": "ready"]),
            ("/v2/models/{model}", "inferenceModel", ["model": "{model}"]),
            ("/v2/models/a/versions/1", "inferenceVersion", ["model": "a", "version": "1"]),
            ("/v2/models/a/versions/../ready", "inferenceVersionReady", ["model": "a", "version": ".."]),
            ("/v2/health/live", "inferenceLive", [:]),
        ] as [(String, String, [String: String])])
    func parameters(path: String, name: String, parameters: [String: String]) throws {
        let route = try router.route(method: "GET", path: path)
        #expect(route.endpoint.name == name && route.parameters == parameters)
    }

    @Test(
        "No empty segment is a parameter, and nothing more or less than the template's segments matches",
        arguments: [
            "/v2/models/", "/v2/models//ready", "/v2//models/a", "/v2/models/a/", "/v2/models/a/versions/",
            "/v2/models/a/b", "/v2/models/a/versions/1/ready/x", "v2/models/a", "/v2/",
        ])
    func noMatch(path: String) {
        #expect { try router.route(method: "GET", path: path) } throws: { ($0 as? Problem)?.code == .notFound }
    }

    @Test("A path with parameters tells the methods that it takes")
    func methods() {
        #expect {
            try router.route(method: "GET", path: "/v2/models/a/infer")
        } throws: { ($0 as? Problem)?.headers["Allow"] == "POST" }
    }
}
