import Testing

@testable import Console

@Suite("The progress line")
struct ProgressLineTests {
    private let line = ProgressLine(activity: "embedding", unit: "images", total: 200)

    @Test("Tells how far, how fast and how long still")
    func tellsRate() {
        #expect(
            line.text(done: 50, elapsed: .seconds(4), width: 100)
                == "embedding [#######-----------------------] 50/200 25 % 12.5 images/s, 0:12 left")
    }

    @Test("In a log it is the facts alone")
    func plain() {
        #expect(line.plainText(done: 50, elapsed: .seconds(4)) == "embedding 50/200 25 % 12.5 images/s, 0:12 left")
    }

    @Test("A log gets a line a minute and nothing of work that is shorter; a terminal ten a second, the first at once")
    func pace() {
        func shown(_ pace: ProgressPace, at times: [Double]) -> [Double] {
            var pace = pace
            return times.filter { pace.isDue(at: .seconds($0)) }
        }
        #expect(shown(.log, at: [0, 1, 59.9, 60, 61, 119, 125, 184, 185, 1000]) == [60, 125, 185, 1000])
        #expect(shown(.terminal, at: [0, 0.05, 0.1, 0.15, 0.21]) == [0, 0.1, 0.21])
    }

    @Test("Promises nothing before anything is done")
    func startsWithoutRate() {
        #expect(line.text(done: 0, elapsed: .zero, width: 60).hasSuffix("] 0/200 0 %"))
    }

    @Test("Always leaves the terminal's last column free", arguments: 1...120)
    func fits(width: Int) {
        for done in [0, 1, 199, 200] {
            #expect(line.text(done: done, elapsed: .seconds(3), width: width).count < width)
        }
    }

    @Test(
        "Times are read at a glance",
        arguments: [(0, "0:00"), (6.2, "0:07"), (754, "12:34"), (3723, "1:02:03"), (.infinity, "277777:46:40")]
            as [(Double, String)])
    func clock(seconds: Double, text: String) {
        #expect(Pace.clock(seconds) == text)
    }

    @Test("What is no terminal is 80 columns wide")
    func terminalWidth() {
        #expect(Terminal.width(of: -1) == 80)
    }
}
