import Testing
import UntrustedText

@Suite struct SuggestionTests {
    @Test(
        "Edits are counted, a swap of neighbours as one",
        arguments: [
            ("", "", 0), ("a", "", 1), ("", "abc", 3), ("port", "prot", 1), ("kitten", "sitting", 3),
            ("same", "same", 0),
        ])
    func distance(left: String, right: String, expected: Int) {
        #expect(Suggestion.editDistance(left, right) == expected)
        #expect(Suggestion.editDistance(right, left) == expected)
    }

    @Test("Only what is near is suggested, and a long word costs nothing")
    func nearest() {
        #expect(Suggestion.nearest(to: "hots", among: ["port", "host"]) == "host")
        #expect(Suggestion.nearest(to: "zzzz", among: ["port", "host"]) == nil)
        let long = String(repeating: "x", count: 1_000_000)
        #expect(Suggestion.editDistance(long, long + "y") == 0)
    }
}
