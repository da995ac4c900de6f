import Testing

@testable import Evaluation
@testable import Training

@Suite("A model's classes are matched with a data set's by name")
struct EvaluationLabelsTests {
    @Test("A class's logit is the one of its name, whatever the order; the data may lack classes")
    func matches() throws {
        let labels = try EvaluationLabels(classes: ["bird", "frog"], labels: ["frog", "cat", "bird"])
        #expect(labels.logitIndices == [2, 0])
    }

    @Test(
        "What can't be matched is named, with what to do",
        arguments: [
            (["bird"], nil, "--labels"), (["bird", "dog"], ["bird", "cat"], "\"dog\""),
            (["bird"], ["bird", "bird"], "several classes named \"bird\""),
            (["\u{1B}[2J"], ["\u{1B}[2J", "\u{1B}[2J"], "several classes named \"\\u{1B}[2J\""),
        ] as [([String], [String]?, String)])
    func refuses(classes: [String], labels: [String]?, part: String) throws {
        let error = try #require(throws: EvaluationError.self) {
            try EvaluationLabels(classes: classes, labels: labels)
        }
        #expect(error.description.contains(part))
    }

    @Test("Hundreds of names don't make an error unreadable")
    func cutsLists() throws {
        let error = try #require(throws: EvaluationError.self) {
            try EvaluationLabels(classes: (0..<900).map { "class \($0)" }, labels: ["cat"])
        }
        #expect(error.description.contains("and 888 more"))
    }
}

@Suite("Top-1 and top-5 accuracy")
struct EvaluationTallyTests {
    @Test("The place of a class is how many come before it", arguments: [(0, 5), (1, 0), (2, 1), (3, 2), (6, 6)])
    func places(answer: Int, place: Int) {
        #expect(EvaluationTally.place(of: answer, in: [1, 9, 8, 8, 4, 3, 0]) == place)
    }

    @Test("Images are counted at places below one and below five")
    func counts() {
        var tally = EvaluationTally()
        for answer in 0..<7 { tally.add(logits: [7, 6, 5, 4, 3, 2, 1], answer: answer) }
        #expect((tally.images, tally.top1, tally.top5) == (7, 1, 5))
    }

    @Test(
        "There is a top-5 only where there are more than five classes", arguments: [(3, false), (5, false), (6, true)])
    func fewClasses(count: Int, hasTop5: Bool) {
        var tally = EvaluationTally()
        tally.add(logits: (0..<count).map { Float($0) }, answer: 1)
        #expect(tally.top1Accuracy == 0 && tally.top5Accuracy == (hasTop5 ? 1 : nil))
    }
}

@Suite("The confusion matrix")
struct ConfusionMatrixTests {
    @Test("counts what images of each class were taken for, of equal logits the first")
    func counts() {
        var matrix = ConfusionMatrix()
        for (logits, answer) in [([3, 1, 2, 0], 0), ([3, 1, 2, 0], 2), ([1, 3, 3, 0], 2), ([0, 1, 2, 0], 2)]
            as [([Float], Int)]
        {
            matrix.add(logits: logits, answer: answer)
        }
        matrix.add(logits: [0, 0, 5, 0], answer: 2)
        #expect(matrix.classes == [0, 1, 2])
        #expect([0, 1, 2, 3].map(matrix.images(of:)) == [1, 0, 4, 0])
        #expect([0, 1, 2, 3].map(matrix.images(as:)) == [2, 1, 2, 0])
        #expect(
            matrix.predictions(of: 2) == [
                .init(index: 2, images: 2), .init(index: 0, images: 1), .init(index: 1, images: 1),
            ])
        #expect(matrix.count(of: 2, as: 1) == 1 && matrix.count(of: 1, as: 2) == 0)
    }
}
