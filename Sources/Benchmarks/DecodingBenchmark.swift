import Console
import FeatureService
import ImagePipeline
import Plotting
import ReverseODE
import Tensor
import Training

/// Times the way from image files to a model's input, exact and scaled, and compares the embeddings that follow.
package struct DecodingBenchmark {
    package struct Measurement: TableRow {
        let path: String
        /// Stored width and height in pixels.
        let width: Int
        let height: Int
        let bytes: Int
        /// Milliseconds to decode at full size and to resize.
        let exact: Spread
        /// Milliseconds with `DecodingMode.scaled`.
        let scaled: Spread
        /// By what the scaled image's size was divided.
        let denominator: Int
        /// Between the embeddings of the model's default tap.
        let cosine: Double
    }

    /// The rows of all files, and the model's own time to compare them with.
    package struct Report: Codable, Sendable {
        let model: String
        let kernels: String
        let workers: Int
        /// Milliseconds of one image's reverse pass, alone, to the default tap.
        let pass: Spread
        /// In the order of the files.
        package var measurements: [Measurement] = []
    }

    private let served: ServedModel
    private let integrator: ReverseIntegrator
    private let tap: ResolvedTap
    private let computation: Computation
    private let seconds: Double

    /// - Parameter seconds: about how long each figure is measured; three times at least.
    package init(_ served: ServedModel, on computation: Computation, seconds: Double) throws {
        self.served = served
        self.computation = computation
        integrator = ReverseIntegrator(
            model: served.model, capacity: 1, kernels: computation.kernels, pool: computation.pool)
        tap = try served.model.defaultTap()
        self.seconds = seconds
    }

    /// Times a pass; the report has no files yet.
    package func report() -> Report {
        let input = [Float](repeating: 0, count: served.model.stateCount)
        return Report(
            model: served.version.name, kernels: computation.kernels.name, workers: computation.pool.count,
            pass: Spread.measured(for: seconds) { _ = embedding(input) })
    }

    /// Times a file's decoding.
    ///
    /// - Throws: `DataSetError` or `ImageError` if it can't be read.
    package func measure(_ path: String) throws -> Measurement {
        let bytes = try ImageFiles.bytes(of: path, maximumBytes: ImageLimits().maximumBytes)
        let preprocessing = served.preprocessing
        let header = try ImageDecoder.probe(bytes)
        let exact = try preprocessing.input(for: bytes, decoding: .exact)
        let scaled = try preprocessing.input(for: bytes, decoding: .scaled)
        func spread(_ decoding: DecodingMode) throws -> Spread {
            try Spread.measured(for: seconds) { _ = try preprocessing.input(for: bytes, decoding: decoding) }
        }
        return Measurement(
            path: path, width: header.width, height: header.height, bytes: bytes.count, exact: try spread(.exact),
            scaled: try spread(.scaled),
            denominator: DecodingMode.scaled.denominator(for: header, shorterSide: preprocessing.resizeShorterSide),
            cosine: embedding(exact).cosine(with: embedding(scaled)))
    }

    private func embedding(_ input: [Float]) -> [Float] {
        var pass = [integrator.trajectory(input: input, taps: [tap], wantsLogits: false)]
        integrator.run(&pass)
        return pass[0].features[0]
    }
}

// MARK: - As text

extension DecodingBenchmark.Report {
    package var title: String {
        """
        \(model), kernels \(kernels), \(workers) workers
        one image's pass: \(pass.text()) ms; decoding and resizing, one thread, in milliseconds:
        median (least-greatest)

        """
    }

    /// A line about the files that the two modes decode differently; nil if there are none.
    package var summary: String? {
        let scaled = measurements.filter { $0.denominator > 1 }
        guard let least = scaled.map(\.cosine).min() else { return nil }
        func total(_ spread: KeyPath<DecodingBenchmark.Measurement, Spread>) -> Double {
            scaled.reduce(0) { $0 + $1[keyPath: spread].median }
        }
        let megapixels = scaled.reduce(0) { $0 + Double($1.width * $1.height) } / 1e6
        return "\n\(scaled.count) scaled: \(rounded(total(\.exact) / megapixels)) ms a megapixel exact, "
            + "\(rounded(total(\.scaled) / megapixels)) scaled; least cosine \(least)"
    }
}

extension DecodingBenchmark.Measurement {
    package static let columns = TextColumns([
        ("pixels", 11), ("kB", 7), ("exact", 26), ("scaled", 26), ("at", 5), ("cosine", 10), ("  file", 0),
    ])

    package var cells: [String] {
        [
            "\(width)x\(height)", "\(bytes / 1000)", exact.text(), scaled.text(), "1/\(denominator)",
            "\(rounded(cosine, 6))", "  \(path)",
        ]
    }
}
