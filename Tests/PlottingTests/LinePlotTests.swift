import Foundation
import Testing

@testable import Plotting

@Suite("Ticks")
struct TicksTests {
    @Test(
        "Round numbers that enclose the data",
        arguments: [
            (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (0, 100, ["0", "20", "40", "60", "80", "100"]),
            (0.31, 2.3, ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]),
            (-3, 3, ["-3", "-2", "-1", "0", "1", "2", "3"]),
            (0.71, 0.76, ["0.71", "0.72", "0.73", "0.74", "0.75", "0.76"]),
            (5, 5, ["4.4", "4.6", "4.8", "5.0", "5.2", "5.4", "5.6"]),
            (0, 0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
            (1e-9, 3e-9, ["1.0e-9", "1.5e-9", "2.0e-9", "2.5e-9", "3.0e-9"]),
            (0, 3e12, ["0", "5e11", "1.0e12", "1.5e12", "2.0e12", "2.5e12", "3.0e12"]),
        ])
    func chooses(low: Double, high: Double, labels: [String]) {
        #expect(Ticks(covering: low...high).labels == labels)
    }

    @Test(
        "Epochs have whole numbers",
        arguments: [(0.0, 1.0, [0.0, 1]), (1, 3, [1, 2, 3]), (0, 25, [0, 5, 10, 15, 20, 25]), (3, 3, [2, 3, 4])])
    func wholeNumbers(low: Double, high: Double, values: [Double]) {
        #expect(Ticks(covering: low...high, most: 10, isIntegral: true).values == values)
    }

    @Test("Any range is enclosed by few ticks, ascending and told apart")
    func encloses() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let scale = pow(10, Double.random(in: -95...95, using: &generator))
            let ends = (0..<2).map { _ in Double.random(in: -1...1, using: &generator) * scale }.sorted()
            let ticks = Ticks(covering: ends[0]...ends[1])
            #expect(ticks.values[0] <= ends[0] + 1e-6 * scale && ticks.values.last! >= ends[1] - 1e-6 * scale)
            #expect((2...9).contains(ticks.values.count), "\(ends)")
            #expect(zip(ticks.values, ticks.values.dropFirst()).allSatisfy(<))
            #expect(Set(ticks.labels).count == ticks.labels.count, "\(ends) \(ticks.labels)")
        }
        for extreme in [-1e100...1e100, 0...Double.leastNonzeroMagnitude, 1e100...1e100, 1...1.0.nextUp] {
            #expect(Ticks(covering: extreme).values.count >= 2)
        }
    }
}

@Suite("Line plots")
struct LinePlotTests {
    private static let loss = LinePlot(
        title: "Loss & <accuracy>", xLabel: "epoch", yLabel: "\"loss\"",
        series: [
            .init("training", (1...5).map { .init(Double($0), 2 / Double($0)) }),
            .init("validation", [.init(1, 2), .init(2, .nan), .init(3, 1.5), .init(4, 1.25)]),
        ])

    @Test("A well-formed document with a title and a description that says where the series end")
    func isAccessible() throws {
        let elements = try XMLElement.all(of: Self.loss.svg())
        #expect(elements[0].name == "svg" && elements[0].attributes["role"] == "img")
        let ids = elements[0].attributes["aria-labelledby"]?.split(separator: " ").map(String.init) ?? []
        let named = ids.map { id in elements.first { $0.attributes["id"] == id }?.text }
        #expect(named[0] == "Loss & <accuracy>")
        #expect(named[1]?.contains("training is 0.4 at 5, validation is 1.25 at 4") == true)
        #expect(elements.first { $0.name == "style" }?.text.contains("prefers-color-scheme:dark") == true)
    }

    @Test("Lines lie where the axes say, with a gap where a number is missing")
    func drawsLines() throws {
        let elements = try XMLElement.all(of: Self.loss.svg())
        let texts = elements.filter { $0.name == "text" }.map(\.text)
        #expect(
            texts.starts(with: [
                "Loss & <accuracy>", "0.0", "0.5", "1.0", "1.5", "2.0", "1", "2", "3", "4", "5", "epoch",
            ]))
        #expect(texts.contains("training") && texts.contains("validation"))
        let lines = elements.filter { $0.name == "polyline" }.map { $0.attributes["points"] ?? "" }
        #expect(lines.count == 2)
        // From the top left corner of the axes to a fifth of their height at the right.
        #expect(lines[0].hasPrefix("72,44 192,146 ") && lines[0].hasSuffix("552,207.2"), "\(lines[0])")
        #expect(lines[1] == "312,95 432,120.5")
        #expect(elements.count { $0.name == "circle" } == 1)
    }

    @Test("Bars stand on zero, side by side")
    func drawsBars() throws {
        let plot = LinePlot(
            title: "bars", xLabel: "severity", yLabel: "top-1",
            series: [
                .init("a", [.init(1, 50), .init(2, -25)], style: .bars), .init("b", [.init(1, 100)], style: .bars),
            ])
        let bars = try XMLElement.all(of: plot.svg()).filter { $0.name == "rect" && $0.attributes["height"] != "10" }
            .dropFirst()
        let places = bars.compactMap { bar in
            ["x", "y", "width", "height"].compactMap { bar.attributes[$0].flatMap(Double.init) }
        }
        try #require(places.count == 3 && places.allSatisfy { $0.count == 4 })
        // The first bar ends where its neighbour begins; both end at zero, where the negative one begins.
        #expect(abs(places[0][0] + places[0][2] - places[2][0]) < 0.02)
        #expect(abs(places[0][1] + places[0][3] - places[1][1]) < 0.02)
        #expect(abs(places[2][3] - 2 * places[0][3]) < 0.05 && abs(places[0][3] - 2 * places[1][3]) < 0.05)
    }

    @Test("Nothing yet, only nonsense, hostile names and great numbers still make a document")
    func survivesAnything() throws {
        for points: [LinePlot.Point] in [
            [], [.init(.nan, 1), .init(1, .infinity)], [.init(1, 1)], [.init(1e300, -1e300), .init(-1e300, 1e300)],
            [.init(0, 1e-300), .init(1, 2e-300)],
        ] {
            let plot = LinePlot(
                title: "\u{0}]]>&amp;", xLabel: "x", yLabel: "y\n", series: [.init("<script>'\u{FFFF}", points)])
            let elements = try XMLElement.all(of: LinePlot.svg([plot, plot], title: plot.title))
            #expect(!elements.contains { $0.name == "script" })
            let numbers = elements.flatMap { $0.attributes.values }.joined(separator: " ")
            #expect(!numbers.contains("nan") && !numbers.contains("inf"))
        }
        #expect(try XMLElement.all(of: LinePlot.svg([], title: "none")).count > 3)
    }
}
