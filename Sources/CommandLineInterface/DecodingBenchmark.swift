import Console
import FeatureService
import FoundationEssentials
import ImagePipeline
import ReverseODE
import Tensor
import Training

/// Times the way from image files to a model's input, exact and scaled, and compares the embeddings that follow.
struct DecodingBenchmark {
    /// One file's row.
    struct Measurement: Codable, Sendable {
        let path: String
        /// Stored size in pixels.
        let width: Int
        let height: Int
        /// Size of the file.
        let bytes: Int
        /// Milliseconds to decode at full size and to resize.
        let exact: Benchmark.Spread
        /// Milliseconds with `DecodingMode.scaled`.
        let scaled: Benchmark.Spread
        /// By what the scaled image's size was divided.
        let denominator: Int
        /// Between the embeddings of the model's default tap.
        let cosine: Double
    }

    /// All files', with the model's own time to hold them against.
    struct Report: Codable, Sendable {
        let model: String
        let kernels: String
        let workers: Int
        /// Milliseconds of one image's reverse pass, alone, to the default tap.
        let pass: Benchmark.Spread
        var measurements: [Measurement] = []
    }

    private let served: ServedModel
    private let integrator: ReverseIntegrator
    private let tap: ResolvedTap
    private let seconds: Double

    /// - Parameter seconds: about how long each figure is measured; three times at least.
    init(_ served: ServedModel, kernels: Kernels, pool: WorkerPool, seconds: Double) throws {
        self.served = served
        integrator = ReverseIntegrator(model: served.model, capacity: 1, kernels: kernels, pool: pool)
        tap = try served.model.defaultTap()
        self.seconds = seconds
    }

    /// Times a pass.
    func pass() -> Benchmark.Spread {
        let input = [Float](repeating: 0, count: served.model.stateCount)
        return Benchmark.Spread.measured(for: seconds) { _ = embedding(input) }
    }

    /// Times a file's decoding.
    ///
    /// - Throws: `DataSetError` or `ImageError` if it can't be read.
    func measure(_ path: String) throws -> Measurement {
        let bytes = try ImageFiles.bytes(of: path, maximumBytes: FeatureExtraction.maximumBytes)
        let preprocessing = served.preprocessing
        let header = try ImageDecoder.probe(bytes)
        let exact = try preprocessing.input(for: bytes, decoding: .exact)
        let scaled = try preprocessing.input(for: bytes, decoding: .scaled)
        func spread(_ decoding: DecodingMode) throws -> Benchmark.Spread {
            try Benchmark.Spread.measured(for: seconds) { _ = try preprocessing.input(for: bytes, decoding: decoding) }
        }
        return Measurement(
            path: path, width: header.width, height: header.height, bytes: bytes.count, exact: try spread(.exact),
            scaled: try spread(.scaled),
            denominator: DecodingMode.scaled.denominator(for: header, shorterSide: preprocessing.resizeShorterSide),
            cosine: Self.cosine(embedding(exact), embedding(scaled)))
    }

    private func embedding(_ input: [Float]) -> [Float] {
        var pass = [integrator.trajectory(input: input, taps: [tap], wantsLogits: false)]
        integrator.run(&pass)
        return pass[0].features[0]
    }

    /// The cosine of the angle between two vectors, summed in double precision; not a number if one is zero.
    static func cosine(_ a: [Float], _ b: [Float]) -> Double {
        func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        return product(a, b) / (product(a, a) * product(b, b)).squareRoot()
    }
}

extension Benchmark.Spread {
    /// Runs `work` once uncounted, then for about `seconds` and three times at least; in milliseconds.
    static func measured<Failure>(for seconds: Double, _ work: () throws(Failure) -> Void) throws(Failure) -> Self {
        try work()
        let clock = ContinuousClock()
        let start = clock.now
        var milliseconds: [Double] = []
        while milliseconds.count < 3 || start.duration(to: clock.now) < .seconds(seconds) {
            let began = clock.now
            try work()
            milliseconds.append(began.duration(to: clock.now) / .milliseconds(1))
        }
        return Self(milliseconds)
    }
}

extension DecodingBenchmark {
    /// Measures all files of `paths` and prints them.
    ///
    /// - Returns: `negative` if a file could not be measured.
    static func run(
        _ paths: [String], _ served: ServedModel, kernels: Kernels, pool: WorkerPool, seconds: Double, isJSON: Bool
    ) throws -> ExitStatus {
        let files = ImageFiles(paths)
        var failed = files.unreadable.count
        for error in files.unreadable { Terminal.report("headwater: \(error)") }
        let benchmark = try DecodingBenchmark(served, kernels: kernels, pool: pool, seconds: seconds)
        var report = Report(
            model: served.version.name, kernels: kernels.name, workers: pool.count, pass: benchmark.pass())
        if !isJSON { printHead(report) }
        for path in files.paths {
            do {
                let measurement = try benchmark.measure(path)
                report.measurements.append(measurement)
                if !isJSON { printRow(measurement) }
            } catch {
                failed += 1
                Terminal.report("headwater: \(ImageTrouble(description: "\(error)").located(at: path))")
            }
        }
        guard !report.measurements.isEmpty else {
            throw CommandFailure(status: .unreadableInput, description: "--decode names no image that can be read")
        }
        if isJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            printSummary(report)
        }
        return failed == 0 ? .success : .negative
    }

    private static func printHead(_ report: Report) {
        print("\(report.model), kernels \(report.kernels), \(report.workers) workers")
        print("one image's pass: \(text(report.pass)) ms; decoding and resizing, one thread, in milliseconds:")
        print("median (least-greatest)\n")
        print(
            paddedLeft("pixels", 11) + paddedLeft("kB", 7) + paddedLeft("exact", 26) + paddedLeft("scaled", 26)
                + paddedLeft("at", 5) + paddedLeft("cosine", 10) + "  file")
    }

    private static func printRow(_ row: Measurement) {
        print(
            paddedLeft("\(row.width)x\(row.height)", 11) + paddedLeft("\(row.bytes / 1000)", 7)
                + paddedLeft(text(row.exact), 26) + paddedLeft(text(row.scaled), 26)
                + paddedLeft("1/\(row.denominator)", 5) + paddedLeft("\((row.cosine * 1e6).rounded() / 1e6)", 10)
                + "  \(row.path)")
    }

    /// Only of files that the two modes decode differently.
    private static func printSummary(_ report: Report) {
        let scaled = report.measurements.filter { $0.denominator > 1 }
        guard let least = scaled.map(\.cosine).min() else { return }
        func total(_ spread: KeyPath<Measurement, Benchmark.Spread>) -> Double {
            scaled.reduce(0) { $0 + $1[keyPath: spread].median }
        }
        let megapixels = scaled.reduce(0) { $0 + Double($1.width * $1.height) } / 1e6
        print(
            "\n\(scaled.count) scaled: \(rounded(total(\.exact) / megapixels)) ms a megapixel exact, "
                + "\(rounded(total(\.scaled) / megapixels)) scaled; least cosine \(least)")
    }

    private static func text(_ spread: Benchmark.Spread) -> String {
        "\(rounded(spread.median)) (\(rounded(spread.least))-\(rounded(spread.greatest)))"
    }

    private static func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}
