/// An SVG document in the making.
struct Canvas {
    private static let width = 720.0
    private static let height = 300.0
    /// Around the axes of each plot, for labels and the legend.
    private static let margin = (left: 72.0, right: 168.0, top: 44.0, bottom: 52.0)
    private static let colors = 8

    private let plots: Int
    private let title: String
    private let description: String
    private var body = ""

    init(plots: Int, title: String, description: String) {
        self.plots = plots
        self.title = title
        self.description = description
    }

    /// The whole file.
    var document: String {
        let height = Self.number(Self.height * Double(max(plots, 1)))
        let width = Self.number(Self.width)
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" \
            role="img" aria-labelledby="title description">
            <title id="title">\(Self.escaped(title))</title>
            <desc id="description">\(Self.escaped(description))</desc>
            <style>
            \(Self.style)
            </style>
            <rect class="paper" width="\(width)" height="\(height)"/>
            \(body)</svg>

            """
    }

    /// Colours after Okabe and Ito (2008), darkened or lightened where they'd be faint.
    private static var style: String {
        let light = ["#0072b2", "#d55e00", "#00805f", "#b0568d", "#8a6d00", "#2f7fb5", "#7a7a00", "#000000"]
        let dark = ["#56b4e9", "#ff8a3d", "#2fc79b", "#e79cc8", "#e6b422", "#8fc7ee", "#f0e442", "#ffffff"]
        func rules(_ colors: [String]) -> String {
            colors.enumerated().map { ".s\($0){stroke:\($1)}.f\($0){fill:\($1)}" }.joined()
        }
        return """
            text{font:12px system-ui,sans-serif;fill:#333}.heading{font-weight:600;font-size:14px}.paper{fill:#fff}
            .grid{stroke:#ddd}.axis{stroke:#888}.line{fill:none;stroke-width:2;stroke-linejoin:round}
            \(rules(light))
            @media(prefers-color-scheme:dark){text{fill:#ccc}.paper{fill:#161616}.grid{stroke:#333}.axis{stroke:#777}
            \(rules(dark))}
            """
    }

    /// Draws a plot in the slot of that number, counted from the top.
    mutating func draw(_ plot: LinePlot, at index: Int) {
        let top = Self.height * Double(index)
        let ticks = plot.ticks
        let frame = Frame(
            left: Self.margin.left, right: Self.width - Self.margin.right, top: top + Self.margin.top,
            bottom: top + Self.height - Self.margin.bottom, x: ticks.x, y: ticks.y)
        body += "<g>\n"
        text(plot.title, x: frame.left, y: top + 24, classes: "heading")
        axes(frame, plot)
        for (number, series) in plot.series.enumerated() {
            body += "<g>\n<title>\(Self.escaped(series.name))</title>\n"
            switch series.style {
            case .line: lines(series, frame, color: number % Self.colors)
            case .bars: bars(series, number, plot, frame)
            }
            body += "</g>\n"
            legend(series, number, frame)
        }
        body += "</g>\n"
    }

    private mutating func axes(_ frame: Frame, _ plot: LinePlot) {
        for (value, label) in zip(frame.y.values, frame.y.labels) {
            let y = frame.vertical(value)
            line(from: (frame.left, y), to: (frame.right, y), classes: "grid")
            text(label, x: frame.left - 8, y: y + 4, anchor: "end")
        }
        for (value, label) in zip(frame.x.values, frame.x.labels) {
            let x = frame.horizontal(value)
            line(from: (x, frame.bottom), to: (x, frame.bottom + 5), classes: "axis")
            text(label, x: x, y: frame.bottom + 19, anchor: "middle")
        }
        line(from: (frame.left, frame.bottom), to: (frame.right, frame.bottom), classes: "axis")
        let (middleX, middleY) = ((frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2)
        text(plot.xLabel, x: middleX, y: frame.bottom + 39, anchor: "middle")
        text(
            plot.yLabel, x: 18, y: middleY, anchor: "middle",
            attributes: " transform=\"rotate(-90 18 \(Self.number(middleY)))\"")
    }

    private mutating func lines(_ series: LinePlot.Series, _ frame: Frame, color: Int) {
        for piece in series.pieces {
            if piece.count == 1 {
                let (x, y) = (frame.horizontal(piece[0].x), frame.vertical(piece[0].y))
                body += "<circle class=\"f\(color)\" cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\" r=\"3\"/>\n"
                continue
            }
            let points = piece.map {
                "\(Self.number(frame.horizontal($0.x))),\(Self.number(frame.vertical($0.y)))"
            }
            body += "<polyline class=\"line s\(color)\" points=\"\(points.joined(separator: " "))\"/>\n"
        }
    }

    private mutating func bars(_ series: LinePlot.Series, _ number: Int, _ plot: LinePlot, _ frame: Frame) {
        let barSeries = plot.series.indices.filter { plot.series[$0].style == .bars }
        let place = Double(barSeries.firstIndex(of: number) ?? 0)
        // Four fifths of a unit of the x axis for all bars of a place.
        let width = 0.8 / Double(barSeries.count)
        for point in series.drawn {
            let left = frame.horizontal(point.x - 0.4 + place * width)
            let right = frame.horizontal(point.x - 0.4 + (place + 1) * width)
            let (zero, end) = (frame.vertical(0), frame.vertical(point.y))
            body +=
                "<rect class=\"f\(number % Self.colors)\" x=\"\(Self.number(left))\" y=\"\(Self.number(min(zero, end)))\" "
                + "width=\"\(Self.number(right - left))\" height=\"\(Self.number(abs(zero - end)))\"/>\n"
        }
    }

    private mutating func legend(_ series: LinePlot.Series, _ number: Int, _ frame: Frame) {
        let y = frame.top + 8 + Double(number) * 18
        let x = frame.right + 16
        if series.style == .line {
            line(from: (x, y), to: (x + 18, y), classes: "line s\(number % Self.colors)")
        } else {
            body +=
                "<rect class=\"f\(number % Self.colors)\" x=\"\(Self.number(x))\" y=\"\(Self.number(y - 5))\" width=\"18\" "
                + "height=\"10\"/>\n"
        }
        text(series.name, x: x + 25, y: y + 4)
    }

    private mutating func line(from start: (Double, Double), to end: (Double, Double), classes: String) {
        body +=
            "<line class=\"\(classes)\" x1=\"\(Self.number(start.0))\" y1=\"\(Self.number(start.1))\" "
            + "x2=\"\(Self.number(end.0))\" y2=\"\(Self.number(end.1))\"/>\n"
    }

    private mutating func text(
        _ content: String, x: Double, y: Double, anchor: String = "start", classes: String = "", attributes: String = ""
    ) {
        let style = classes.isEmpty ? "" : " class=\"\(classes)\""
        body +=
            "<text\(style) x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" text-anchor=\"\(anchor)\"\(attributes)>"
            + "\(Self.escaped(content))</text>\n"
    }

    /// A number without more digits than it needs.
    static func number(_ value: Double, digits: Int = 2) -> String {
        guard abs(value) < 1e12 else { return "\(value)" }
        let text = Ticks.fixed(value, digits: digits)
        guard text.contains(".") else { return text }
        let trimmed = text.reversed().drop { $0 == "0" }.drop { $0 == "." }
        return String(trimmed.reversed())
    }

    /// Text as XML may contain it: marked-up characters written out, those that XML has no way to write replaced.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\t", "\n", "\r": result += " "
            case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// Where the numbers of two axes lie on the canvas.
private struct Frame {
    let left, right, top, bottom: Double
    let x, y: Ticks

    func horizontal(_ value: Double) -> Double { left + (right - left) * Self.part(value, x) }

    func vertical(_ value: Double) -> Double { bottom - (bottom - top) * Self.part(value, y) }

    private static func part(_ value: Double, _ ticks: Ticks) -> Double {
        let (first, last) = (ticks.values.first ?? 0, ticks.values.last ?? 1)
        return (value - first) / (last - first)
    }
}
