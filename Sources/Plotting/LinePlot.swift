/// Numbers drawn over numbers, as lines or bars.
package struct LinePlot: Sendable, Equatable {
    package struct Point: Sendable, Equatable {
        package var x: Double
        package var y: Double

        package init(_ x: Double, _ y: Double) {
            self.x = x
            self.y = y
        }
    }

    package struct Series: Sendable, Equatable {
        package enum Style: Sendable {
            /// Joined by lines in their order, an only one as a dot.
            case line
            /// Each as a bar from zero, bars of several series side by side.
            case bars
        }

        /// What the legend calls it.
        package var name: String
        /// What is drawn; a point that isn't finite, or lies beyond ±10¹⁰⁰, leaves a gap.
        package var points: [Point]
        package var style: Style

        package init(_ name: String, _ points: [Point], style: Style = .line) {
            self.name = name
            self.points = points
            self.style = style
        }
    }

    /// The heading, which screen readers read too.
    package var title: String
    package var xLabel: String
    package var yLabel: String
    /// Drawn in this order, in eight colours that people with defective colour vision can tell apart.
    package var series: [Series]
    /// Whether the x axis counts something, so that it has ticks at whole numbers only.
    package var countsX = true
    /// What the y axis shows at least; the data may widen it.
    package var yRange: ClosedRange<Double>?

    package init(title: String, xLabel: String, yLabel: String, series: [Series]) {
        self.title = title
        self.xLabel = xLabel
        self.yLabel = yLabel
        self.series = series
    }

    package func svg() -> String { Self.svg([self], title: title) }

    /// Plots one below another as one SVG file, light or dark as the viewer prefers.
    ///
    /// - Parameter title: of them all.
    package static func svg(_ plots: [LinePlot], title: String) -> String {
        var canvas = Canvas(plots: plots.count, title: title, description: plots.map(\.summary).joined(separator: " "))
        for (index, plot) in plots.enumerated() { canvas.draw(plot, at: index) }
        return canvas.document
    }

    /// In words, for those who can't see it: where each series ends.
    private var summary: String {
        let parts = series.compactMap { series -> String? in
            guard let last = series.drawn.last else { return nil }
            let (x, y) = (Canvas.number(last.x, digits: 4), Canvas.number(last.y, digits: 4))
            return "\(series.name) is \(y) at \(x)"
        }
        let data = parts.isEmpty ? "no data yet" : parts.joined(separator: ", ")
        return "\(title), \(yLabel) over \(xLabel): \(data)."
    }

    /// The ticks of both axes.
    var ticks: (x: Ticks, y: Ticks) {
        let points = series.flatMap(\.drawn)
        let hasBars = series.contains { $0.style == .bars }
        func range(_ values: [Double], _ least: ClosedRange<Double>?) -> ClosedRange<Double> {
            let all = values + (least.map { [$0.lowerBound, $0.upperBound] } ?? [])
            return (all.min() ?? 0)...(all.max() ?? 1)
        }
        // Bars stand on zero and are wide.
        let x = range(points.flatMap { hasBars ? [$0.x - 0.5, $0.x + 0.5] : [$0.x] }, nil)
        let y = range(points.map(\.y) + (hasBars ? [0] : []), yRange)
        return (Ticks(covering: x, most: 10, isIntegral: countsX), Ticks(covering: y))
    }
}

extension LinePlot.Series {
    /// Points that can be drawn.
    var drawn: [LinePlot.Point] { points.filter(Self.canDraw) }

    /// Points between the gaps.
    var pieces: [[LinePlot.Point]] { points.split { !Self.canDraw($0) }.map(Array.init) }

    private static func canDraw(_ point: LinePlot.Point) -> Bool {
        // Comparisons with NaN are false.
        abs(point.x) <= Ticks.greatest && abs(point.y) <= Ticks.greatest
    }
}
