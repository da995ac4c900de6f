import FeatureService
import ReverseODE
import Testing
import UntrustedText

@testable import API

/// Keeps the promise that text in requests costs no more time and gives no longer an answer than its length warrants.
@Suite("Hostile text in requests") struct HostileTextTests {
    /// Combining characters of two classes in turn, which a comparison by canonical equivalence has to sort: a minute's
    /// work for a comparison with one of these.
    static let accents = "a" + String(repeating: "\u{301}\u{323}", count: 400_000)
    /// One character of three megabytes.
    static let joiners = "a" + String(repeating: "\u{200D}", count: 1_000_000)

    @Test(
        "JSON with a name or a value of accents is refused",
        arguments: [
            "{\"*\":1}", "{\"images\":[\"*\"]}", "{\"from\":\"*\"}",
            "{\"taps\":[{\"time\":\"*\",\"place\":\"pooled\"}]}",
        ])
    func accents(template: String) {
        let document = template.replacing("*", with: Self.accents)
        var options = RequestOptions()
        #expect {
            try JSONPost(
                Array(document.utf8), options: &options, names: [.at, .from, .taps], maximumImages: 1)
        } throws: { ($0 as? Problem)?.detail.contains("combining characters") == true }
    }

    @Test("Files that aren't there are named without what could command a terminal")
    func controls() {
        for refusal in [CheckpointRefusal.notFound(path: "a\u{80}\u{1b}b"), .outside(path: "a\u{80}\u{1b}b")] {
            let detail = Problem(refusal).detail
            #expect(detail.utf8.allSatisfy { (0x20..<0x7f).contains($0) }, "\(detail)")
        }
    }

    @Test(
        "what isn't known is named in few words, however long a character of it is",
        arguments: [
            "{\"*\":1}", "{\"at\":\"*\"}", "{\"from\":\"*\"}",
            "{\"normalize\":\"*\"}", "{\"images\":[\"*\"]}",
        ])
    func echo(template: String) {
        let document = template.replacing("*", with: Self.joiners)
        var options = RequestOptions()
        #expect {
            try JSONPost(
                Array(document.utf8), options: &options, names: [.at, .from, .taps], maximumImages: 1)
        } throws: { ($0 as? Problem).map { $0.detail.utf8.count < 600 } == true }
    }

    @Test("no name is near to a hostile one") func suggestion() {
        for word in [Self.accents, Self.joiners] {
            #expect(Suggestion.nearest(to: word, among: ["images", "taps"]) == nil)
        }
    }

    @Test("a configuration's tap is named in few words") func tap() {
        let error = #expect(throws: TapError.self) { try Tap(parsing: Self.joiners) }
        #expect(error.map { $0.description.utf8.count < 600 } == true)
    }
}
