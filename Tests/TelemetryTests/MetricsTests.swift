import Testing

@testable import Telemetry

@Suite struct MetricsTests {
    @Test("The exposition has HELP, TYPE, escapes, cumulative buckets, and a stable order")
    func exposition() throws {
        let registry = MetricsRegistry()
        let requests = try registry.counter("t_requests_total", help: "Requests.", labels: ["route", "status"])
        requests["/b", "200"].increment(by: 3)
        requests["/a", "503"].increment()
        requests["/a", "200"].increment()
        let seconds = try registry.histogram("t_decode_seconds", help: "Back\\slash\nline.", bounds: [0.5, 1])
        for value in [0.25, 0.5, 0.75, 4] { seconds.observe(value) }
        seconds.observe(Duration.milliseconds(500))
        try registry.gauge("t_waiting", help: "Images.", labels: ["name"]) {
            [Sample(-1.5, labelValues: ["a\"b\\c\nd"])]
        }
        #expect(
            registry.exposition() == #"""
                # HELP t_decode_seconds Back\\slash\nline.
                # TYPE t_decode_seconds histogram
                t_decode_seconds_bucket{le="0.5"} 3
                t_decode_seconds_bucket{le="1"} 4
                t_decode_seconds_bucket{le="+Inf"} 5
                t_decode_seconds_sum 6
                t_decode_seconds_count 5
                # HELP t_requests_total Requests.
                # TYPE t_requests_total counter
                t_requests_total{route="/a",status="200"} 1
                t_requests_total{route="/a",status="503"} 1
                t_requests_total{route="/b",status="200"} 3
                # HELP t_waiting Images.
                # TYPE t_waiting gauge
                t_waiting{name="a\"b\\c\nd"} -1.5

                """#)
    }

    @Test(
        "Numbers are written as Prometheus reads them",
        arguments: [
            (0, "0"), (-0.5, "-0.5"), (1e15, "1000000000000000"), (1e300, "1e+300"), (.infinity, "+Inf"),
            (-.infinity, "-Inf"), (.nan, "NaN"), (0.1, "0.1"),
        ] as [(Double, String)])
    func numbers(value: Double, text: String) {
        #expect(ExpositionText.number(value) == text)
    }

    @Test("A computed metric is read at each scrape, and is absent while it has nothing to tell")
    func computed() throws {
        let registry = MetricsRegistry()
        let source = try registry.gauge("t_source", help: "Source.")
        try registry.gauge("t_model_info", help: "Model.", labels: ["version"]) {
            source.value == 0 ? [] : [Sample(1, labelValues: ["v\(Int(source.value))"])]
        }
        #expect(!registry.exposition().contains("t_model_info"))
        source.set(2)
        #expect(registry.exposition().contains("t_model_info{version=\"v2\"} 1\n"))
    }

    @Test(
        "Bad names are refused at registration",
        arguments: [
            "", "9lives", "Headwater_x", "camelCase", "a__b", "a_", "_a", "a-b", "a:b", "ä", "x_total", "x_count",
            "x_sum", "x_bucket", "x_milliseconds", "x_minutes", "megabytes",
        ])
    func badNames(name: String) {
        #expect(throws: MetricError.self) { try MetricsRegistry().gauge(name, help: "Help.") }
    }

    @Test("A counter must end in _total, a metric needs help, a name is taken once")
    func registrationRules() throws {
        let registry = MetricsRegistry()
        #expect(throws: MetricError.self) { try registry.counter("x", help: "Help.") }
        #expect(throws: MetricError.missingHelp("x")) { try registry.gauge("x", help: "") }
        _ = try registry.gauge("x", help: "Help.")
        #expect(throws: MetricError.duplicate("x")) { try registry.gauge("x", help: "Help.") }
    }

    @Test(
        "Bad and repeated labels are refused",
        arguments: [["le"], ["a", "a"], ["A"], ["__name"], [""]])
    func badLabels(labels: [String]) {
        #expect(throws: MetricError.self) {
            try MetricsRegistry().histogram("x", help: "Help.", labels: labels, bounds: [1])
        }
    }

    @Test(
        "Bounds must be finite and ascending", arguments: [[], [1, 1], [2, 1], [1, .infinity], [.nan]] as [[Double]])
    func badBounds(bounds: [Double]) {
        #expect(throws: MetricError.invalidBuckets("x")) {
            try MetricsRegistry().histogram("x", help: "Help.", bounds: bounds)
        }
    }

    @Test("What isn't finite can't spoil a histogram's sum")
    func nonFiniteObservations() throws {
        let histogram = try MetricsRegistry().histogram("x", help: "Help.", bounds: [1])
        histogram.observe(.nan)
        histogram.observe(.infinity)
        histogram.observe(2)
        #expect(histogram.snapshot == Histogram.Snapshot(bounds: [1], counts: [0, 1], sum: 2))
    }

    @Test("Label values can't grow memory without end: beyond the limit they share one series")
    func seriesLimit() throws {
        let registry = MetricsRegistry(seriesLimit: 3)
        let counters = try registry.counter("x_total", help: "Help.", labels: ["a", "b"])
        for index in 0..<100 { counters["\(index)", "b"].increment() }
        #expect(counters.all.count == 4)
        #expect(counters["other", "other"].value == 97)
        #expect(counters["1", "b"].value == 1)
    }

    @Test("No observation is lost between threads")
    func concurrency() async throws {
        let registry = MetricsRegistry()
        let counter = try registry.counter("x_total", help: "Help.", labels: ["a"])
        let histogram = try registry.histogram("z", help: "Help.", bounds: [1])
        await withTaskGroup { group in
            for task in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter["\(task % 2)"].increment()
                        histogram.observe(1.0)
                    }
                }
            }
        }
        #expect(counter["0"].value == 4000 && counter["1"].value == 4000)
        #expect(histogram.snapshot == Histogram.Snapshot(bounds: [1], counts: [8000, 0], sum: 8000))
    }

    @Test(
        "Bounds double up to the first that covers the limit",
        arguments: [(1, [1.0]), (2, [1, 2]), (5, [1, 2, 4, 8]), (0, [1])])
    func powersOfTwo(limit: Int, bounds: [Double]) {
        #expect(HistogramBuckets.powersOfTwo(through: limit) == bounds)
        #expect(HistogramBuckets.powersOfTwo(through: .max).count <= 64)
    }
}
