import Foundation
import HTTPServer
import TestFixtures
import Testing

@testable import API

@Suite("Reading and writing")
struct WriterTests {
    @Test("The zero vector stays zero; any other gets length 1, even where squares overflow a float")
    func normalization() {
        #expect(Normalization.l2.applied(to: [0, 0]) == [0, 0])
        #expect(Normalization.l2.applied(to: [3, 4]) == [0.6, 0.8])
        #expect(abs(Normalization.l2.applied(to: [3e30, 4e30])[0] - 0.6) < 1e-6)
        #expect(Normalization.none.applied(to: [3, 4]) == [3, 4])
    }

    @Test(
        "Accept chooses by weight, the default where nothing is preferred",
        arguments: [
            ([], ResultFormat.json), (["*/*"], .json), (["application/*"], .json), (["application/x-npy"], .npy),
            (["application/json;q=0.5, application/x-npy"], .npy), (["application/x-npy;q=0, */*"], .json),
            (["text/html", "application/x-npy;q=0.1"], .npy), (["nonsense"], .json),
            (["application/json;q=0, */*;q=0.1"], .npy), (["APPLICATION/JSON"], .json),
        ] as [([String], ResultFormat)])
    func accept(values: [String], format: ResultFormat) throws {
        let headers = values.reduce(into: HTTPHeaders()) { $0.append(name: "Accept", value: $1) }
        #expect(try ResultFormat.negotiated(headers, offered: [.json, .npy]) == format)
    }

    @Test("A timeout is granted up to the maximum and counted from the request's line")
    func timeouts() throws {
        let limits = TimeLimits(standard: .seconds(60), maximum: .seconds(100))
        func granted(_ text: String?) throws -> Duration {
            var head = RequestHead(method: "POST", path: "/")
            head.headers["X-Request-Timeout"] = text
            return try RequestDeadline(head, limits).instant() - head.received
        }
        #expect(try granted(nil) == .seconds(60))
        #expect(try granted("2.5") == .seconds(2.5))
        #expect(try granted("1e300") == .seconds(100))
        #expect(try granted("0." + String(repeating: "3", count: 60)) == .seconds(1.0 / 3), "any notation of a number")
        for text in ["-1", "0", "inf", "nan", "1s", ""] { #expect(throws: Problem.self) { try granted(text) } }
    }

    @Test(
        "A body's own timeout replaces the default, and with the header, the shorter of both counts, up to the maximum",
        arguments: [(nil, 2, 2), (nil, 70, 70), (nil, 1000, 100), ("5", 2, 2), ("2", 5, 2), ("1e9", 70, 70)]
            as [(String?, Int, Int)])
    func bodyTimeouts(header: String?, body: Int, granted: Int) throws {
        let limits = TimeLimits(standard: .seconds(60), maximum: .seconds(100))
        var head = RequestHead(method: "POST", path: "/")
        head.headers["X-Request-Timeout"] = header
        let deadline = try RequestDeadline(head, limits)
        #expect(deadline.instant(within: .seconds(body)) == head.received + .seconds(granted))
    }
}
