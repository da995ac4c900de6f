import Foundation
import TestFixtures
import Testing

@testable import API

@Suite("The playground", .timeLimit(.minutes(20)))
struct PlaygroundTests {
    @Test("The page comes without a key, under a policy that allows its own script and style and no other")
    func page() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["key"]
        } _: { service async throws in
            let answer = try await service.client.get("/")
            #expect(answer.status == 200 && answer["Content-Type"] == "text/html; charset=utf-8")
            let policy = try #require(answer["Content-Security-Policy"])
            for directive in [
                "default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'",
                "form-action 'none'", "img-src data: blob:",
            ] { #expect(policy.contains(directive)) }
            #expect(!policy.contains("unsafe") && !policy.contains("*") && !policy.contains("http"))
            #expect(policy.matches(of: /(script|style)-src 'sha256-[A-Za-z0-9+\/]{43}='(;|$)/).count == 2)
            #expect(try await service.client.post("/trajectory", []).status == 401)
        }
    }

    @Test("A policy's digests are those of what stands between the tags")
    func digests() {
        let policy = Playground.policy(for: "<style>a</style><script>alert('Hello, world.');</script>")
        // The example of the Content Security Policy specification.
        #expect(policy.contains("script-src 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"))
        #expect(policy.contains("style-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='"))
        #expect(Playground.policy(for: "<p>").contains("script-src 'none'"))
    }

    @Test("The page refers to nothing outside it and has no inline handler or style, which its policy would forbid")
    func selfContained() {
        let page = String(decoding: Playground.response.body, as: UTF8.self)
        #expect(page.count > 5000 && page.contains("<html lang=\"en\">") && page.contains("prefers-color-scheme: dark"))
        // Only links that a user follows lead elsewhere.
        let links = page.matches(of: /<a href="https:\/\//).count
        #expect(!page.contains("http://") && page.matches(of: /https:\/\//).count == links)
        // Every part is there: the style, the scripts and the photographs.
        #expect(!page.contains("<style></style>") && !page.contains("<script></script>"))
        #expect(page.matches(of: /<img src="data:image\/jpeg;base64,/).count == 6)
        #expect(page.matches(of: /<[a-z]+[^>]*\s(style|on[a-z]+)=/).isEmpty)
        #expect(page.matches(of: /<(link|script|img|iframe)[^>]*\s(src|href)="(?!data:)/).isEmpty)
        // Every field has a label, every picture a text.
        let inputs = page.matches(of: /<input id="([a-z-]+)"/)
        #expect(inputs.count >= 3)
        for input in inputs {
            let isWithinLabel = page[..<input.range.lowerBound].matches(of: /<\/?label/).last?.output == "<label"
            #expect(isWithinLabel || page.contains("for=\"\(input.1)\""), "\(input.1)")
        }
        #expect(page.matches(of: /<img(?![^>]*\salt=)/).isEmpty)
    }

    @Test("Turned off, it is 404, and everything else is there")
    func off() async throws {
        try await TestService.run {
            $0.api.hasPlayground = false
        } _: { service async throws in
            #expect(try await service.client.get("/").code == "not_found")
            #expect(try await service.client.get("/version").status == 200)
        }
    }
}
