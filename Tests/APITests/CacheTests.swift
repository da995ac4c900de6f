import FeatureService
import TestBench
import TestFixtures
import Testing

@testable import API

@Suite("What the API says of answers already known", .timeLimit(.minutes(20)))
struct CacheTests {
    @Test(
        "Cache-Status says of all images together where their answers come from",
        arguments: [
            ([.hit], "headwater; hit", .hit), ([.miss], "headwater; fwd=miss", .miss),
            ([.shared], "headwater; fwd=miss; collapsed", .shared),
            ([.hit, .hit], "headwater; hit; detail=\"2 hit\"", .hit),
            ([.miss, .shared], "headwater; fwd=miss; detail=\"1 shared, 1 miss\"", .miss),
            ([.hit, .shared], "headwater; fwd=partial; collapsed; detail=\"1 hit, 1 shared\"", .shared),
            ([.miss, .hit, .hit], "headwater; fwd=partial; detail=\"2 hit, 1 miss\"", .miss),
        ] as [([AnswerSource], String, AnswerSource)])
    func outcomes(sources: [AnswerSource], status: String, source: AnswerSource) {
        #expect(CacheOutcome(sources)?.status == status && CacheOutcome(sources)?.source == source)
        #expect(CacheOutcome([]) == nil)
    }

    @Test("Header, access log and metrics tell a hit from a miss, and the numbers are the same")
    func observed() async throws {
        try await TestService.run {
            $0.service.cacheBytes = 1 << 20
        } _: { service async throws in
            let image = try sampleImage()
            let first = try await service.client.post("/embed", image)
            let again = try await service.client.post("/embed", image)
            let classes = try await service.client.post("/classify", image)
            let form = Form().file("i", image).file("i", try TestFixtures.bytes("images/gray-77x55.png")).body
            let both = try await service.client.post("/embed", form, headers: ["Content-Type": Form.contentType])
            let bad = try await service.client.post("/embed", Array("II*\0".utf8))
            #expect(first["Cache-Status"] == "headwater; fwd=miss")
            #expect(again["Cache-Status"] == "headwater; hit")
            #expect(classes["Cache-Status"] == "headwater; fwd=miss")
            #expect(both["Cache-Status"] == "headwater; fwd=partial; detail=\"1 hit, 1 miss\"")
            #expect(bad.status == 415 && bad["Cache-Status"] == nil)
            // What is never looked up is neither a hit nor a miss.
            let made = try await service.client.post("/sample?count=3", [])
            #expect(made.status == 200 && made["Cache-Status"] == nil)
            #expect(try embedding(again) == embedding(first))
            #expect(try embedding(both, 0) == embedding(first))

            #expect(try await eventually { try service.log.requests().count == 6 })
            let logged = try service.log.requests().map { $0["cache"] as? String }
            #expect(logged.count { $0 == "hit" } == 1 && logged.count { $0 == "miss" } == 4)
            let text = try await service.admin.get("/metrics").text
            for line in ["hits_total 2", "misses_total 4", "shared_total 0"] {
                #expect(text.contains("headwater_cache_" + line + "\n"), "\(line)")
            }
            #expect(text.contains("\nheadwater_cache_bytes ") && !text.contains("\nheadwater_cache_bytes 0\n"))
        }
    }

    @Test("Without a cache nothing is said of one; /model says how large images are decoded")
    func off() async throws {
        try await TestService.run {
            $0.service.decoding = .exact
        } _: { service async throws in
            for _ in 0..<2 {
                #expect(try await service.client.post("/embed", try sampleImage())["Cache-Status"] == nil)
            }
            #expect(try await eventually { try service.log.requests().count == 2 })
            #expect(try service.log.requests().allSatisfy { $0["cache"] == nil })
            let text = try await service.admin.get("/metrics").text
            #expect(text.contains("headwater_cache_bytes 0\n") && text.contains("headwater_cache_misses_total 0\n"))
            #expect(try await service.client.get("/model").json()["decoding"] as? String == "exact")
        }
        try await TestService.run { service async throws in
            #expect(try await service.client.get("/model").json()["decoding"] as? String == "scaled")
        }
    }
}
