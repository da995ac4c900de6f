import Testing

@testable import Extraction

@Suite("Rows of text")
struct TextRowTests {
    @Test(
        "CSV fields are quoted where RFC 4180 wants it",
        arguments: [
            ("plain", "plain"), ("a,b", "\"a,b\""), ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("", ""),
        ])
    func quotes(field: String, written: String) {
        #expect(TextRow.csv(path: field, ["1", field]) == Array("\(written),1,\(written)\n".utf8))
    }

    @Test("Classes are ranked by logit, the first of equals first, with probabilities that sum to 1")
    func ranks() {
        let ranked = RankedClass.ranking([1, 900, 900, -5], ["a", "b", "c", "d"], top: 3)
        #expect(ranked.map(\.index) == [1, 2, 0])
        #expect(ranked.map(\.label) == ["b", "c", "a"])
        #expect(ranked.map(\.probability).reduce(0, +) == 1)
        #expect(RankedClass.ranking([1, 2], nil, top: 10).count == 2)
    }
}
