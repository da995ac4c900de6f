import Testing

@testable import HTTPServer

@Suite("Waiting until nothing is going on", .timeLimit(.minutes(20)))
struct ActivityTests {
    @Test("A wait whose time is up before it has begun ends all the same")
    func timeout() async {
        let activity = Activity()
        activity.update { $0.activeRequests = 1 }
        for _ in 0..<1000 { #expect(await activity.waitUntilQuiet(timeout: .zero) == false) }
    }

    @Test("While there is no request, waiting ends at once; the end of the last request wakes every waiter")
    func quiet() async {
        let activity = Activity()
        #expect(await activity.waitUntilQuiet(timeout: .zero))
        activity.update { $0.activeRequests = 1 }
        async let first = activity.waitUntilQuiet(timeout: .seconds(3600))
        async let second = activity.waitUntilQuiet(timeout: .seconds(3600))
        activity.requestEnded()
        #expect(await first)
        #expect(await second)
    }
}
