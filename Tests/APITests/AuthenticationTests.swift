import Foundation
import HTTPServer
import TestFixtures
import Testing

@testable import API

@Suite("Wrong keys")
struct AuthenticationLimitTests {
    private let start = ContinuousClock.now
    private let allowance = AuthenticationLimit.Allowance(burst: 3, interval: .seconds(10), addresses: 4)

    @Test("An address has its burst, then one more after each interval, and is told how long to wait")
    func burst() {
        var limit = AuthenticationLimit(allowance)
        for _ in 0..<3 { #expect(limit.fail("192.0.2.1", at: start) == nil) }
        #expect(limit.fail("192.0.2.1", at: start) == .seconds(10))
        #expect(limit.fail("192.0.2.1", at: start + .seconds(4)) == .seconds(6))
        #expect(limit.fail("192.0.2.1", at: start + .seconds(10)) == nil)
        #expect(limit.fail("192.0.2.1", at: start + .seconds(10)) == .seconds(10))
        #expect(limit.fail("192.0.2.2", at: start) == nil, "another address has its own")
    }

    @Test("What was refused isn't held against an address: however often it tries, it waits no longer")
    func noPenalty() {
        var limit = AuthenticationLimit(allowance)
        for _ in 0..<1000 { _ = limit.fail("192.0.2.1", at: start) }
        #expect(limit.fail("192.0.2.1", at: start + .seconds(10)) == nil)
    }

    @Test("After burst times interval without a wrong key all is forgiven, and never more than the burst is saved up")
    func forgiveness() {
        var limit = AuthenticationLimit(allowance)
        for round in 0..<3 {
            let now = start + .seconds(1000 * round)
            for _ in 0..<3 { #expect(limit.fail("192.0.2.1", at: now) == nil) }
            #expect(limit.fail("192.0.2.1", at: now) != nil)
        }
    }

    @Test("Times that arrive out of order, as from several threads, allow no extra attempt")
    func disorder() {
        var limit = AuthenticationLimit(allowance)
        for _ in 0..<3 { #expect(limit.fail("192.0.2.1", at: start) == nil) }
        #expect(limit.fail("192.0.2.1", at: start - .seconds(5)) == .seconds(15))
    }

    @Test("No more addresses are remembered than may be; the one closest to being forgiven makes room")
    func memory() {
        var limit = AuthenticationLimit(allowance)
        for _ in 0..<3 { _ = limit.fail("192.0.2.1", at: start) }
        for number in 2...4 { _ = limit.fail("192.0.2.\(number)", at: start + .seconds(number)) }
        for number in 5...100 {
            _ = limit.fail("192.0.2.\(number)", at: start + .seconds(5))
            #expect(limit.count <= 4)
        }
        #expect(limit.fail("192.0.2.1", at: start + .seconds(5)) == .seconds(5), "the worst is remembered longest")
        for number in 101...104 { _ = limit.fail("192.0.2.\(number)", at: start + .seconds(1000)) }
        #expect(limit.count == 4)
    }

    @Test("An IPv6 network of 64 bits counts as one client, an IPv4 address as itself")
    func clients() {
        let same = AuthenticationLimit.client("2001:db8:1:2::1")
        #expect(same == AuthenticationLimit.client("2001:db8:1:2:ffff:ffff:ffff:ffff"))
        #expect(same != AuthenticationLimit.client("2001:db8:1:3::1"))
        #expect(AuthenticationLimit.client("192.0.2.1") != AuthenticationLimit.client("192.0.2.2"))
    }
}

@Suite("Authentication", .timeLimit(.minutes(20)))
struct AuthenticatorTests {
    @Test(
        "After ten wrong keys 429 with Retry-After and a metric; right keys, and requests without one, fare as before")
    func limited() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["a-right-key", "another-right-key"]
            // However slow the machine is.
            $0.api.wrongKeys.interval = .seconds(3600)
            $0.admin.token = "a-token"
        } _: { service async throws in
            let wrong = ["Authorization": "Bearer guess"]
            for number in 1...13 {
                let answer = try await service.client.post("/embed", try sampleImage(), headers: wrong)
                #expect(answer.status == (number <= 10 ? 401 : 429), "\(number)")
                guard number > 10 else { continue }
                #expect(answer.code == "too_many_wrong_keys")
                #expect((1...3600).contains(answer["Retry-After"].flatMap { Int($0) } ?? 0))
            }
            #expect(try await service.client.get("/model").status == 401, "no key is no guess")
            #expect(try await service.client.get("/health/live", headers: wrong).status == 200)
            for key in ["a-right-key", "another-right-key"] {
                #expect(try await service.client.get("/model", headers: ["X-API-Key": key]).status == 200)
            }
            #expect(
                try await service.admin.get("/metrics", headers: wrong).status == 401, "each listener counts its own")
            let metrics = try await service.admin.get("/metrics", headers: ["Authorization": "Bearer a-token"]).text
            for (listener, outcome, count) in [
                ("public", "missing", 1), ("public", "wrong", 10), ("public", "limited", 3), ("admin", "wrong", 1),
                ("admin", "limited", 0),
            ] {
                let series = #"headwater_authentication_failures_total{listener="\#(listener)",outcome="\#(outcome)"}"#
                #expect(metrics.contains("\n\(series) \(count)\n"), "\(series)")
            }
        }
    }

    @Test("Once the digests are made, neither API keeps a key")
    func forgotten() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["a-right-key"]
            $0.admin.token = "a-token"
        } _: { service async throws in
            #expect(service.publicAPI.configuration.apiKeys == nil)
            #expect(service.adminAPI.configuration.token == nil)
            #expect(try await service.client.get("/model").status == 401)
            #expect(try await service.client.get("/model", headers: ["X-API-Key": "a-right-key"]).status == 200)
            #expect(try await service.admin.get("/metrics", headers: ["X-API-Key": "a-token"]).status == 200)
        }
    }

    @Test(
        "A web page, which names its origin, is refused by the admin port, and served by the public one like any client"
    )
    func pages() async throws {
        try await TestService.run { service async throws in
            for origin in ["https://example.org", "null", "http://127.0.0.1:\(service.client.port)"] {
                let page = ["Origin": origin]
                for endpoint in AdminAPI.endpoints {
                    let path = endpoint.path.replacing("{model}", with: "a")
                    let body: [UInt8]? = endpoint.method == "GET" ? nil : []
                    let answer = try await service.admin.send(endpoint.method, path, headers: page, body: body)
                    #expect(
                        endpoint.traits.contains(.open) ? answer.status == 200 : answer.code == "page_forbidden",
                        "\(endpoint.name)")
                }
                #expect(try await service.client.post("/embed", try sampleImage(), headers: page).status == 200)
            }
        }
    }

    @Test(
        "A key must be right to the last byte, whatever its length",
        arguments: [
            "", "a", "a-right-ke", "a-right-kez", "a-right-key-", "A-right-key",
            Named("9,000 letters", String(repeating: "a", count: 9000)),
        ] as [Named<String>])
    func comparison(presented: Named<String>) {
        let credentials = Credentials(keys: ["a-right-key", "b"])
        #expect(credentials.presented(in: ["X-API-Key": presented.value]) == .wrongKey)
        #expect(credentials.presented(in: ["X-API-Key": "a-right-key"]) == .key)
        #expect(credentials.presented(in: [:]) == .nothing)
    }
}
