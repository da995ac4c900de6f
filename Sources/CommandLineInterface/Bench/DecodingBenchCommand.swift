import Arguments
import Benchmarks
import Console
import Extraction
import JSON
import Training

/// `headwater bench decoding`: from image files to a model's input.
enum DecodingBenchCommand: Subcommand {
    private static let paths = Positional("PATHS", repeated: .file, help: "Image files, or folders of images.")

    static let command = Command(
        name: "bench decoding", abstract: "time the decoding of images",
        discussion: """
            Times decoding and resizing, at full size, and scaled as without --exact-decode. Also prints the cosine between the \
            two embeddings.
            """,
        options: [
            ModelSource.options, [BenchCommand.seconds, BenchCommand.json], Computation.options,
        ],
        positionals: [paths],
        examples: [
            "How long photographs take to be decoded:": "headwater bench decoding photos"
        ])

    /// - Returns: `negative` if a file could not be measured.
    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments)
        let isJSON = try arguments[BenchCommand.json]
        let served = try ModelSource.load(try arguments[ModelSource.option], computation)
        let files = ImageFiles(try arguments[paths])
        var failed = files.unreadable.count
        for error in files.unreadable { Terminal.report("headwater: \(error)") }
        let benchmark = try DecodingBenchmark(
            served, kernels: computation.kernels, pool: computation.pool, seconds: try arguments[BenchCommand.seconds])
        var report = benchmark.report()
        if !isJSON { print(report.head) }
        for path in files.paths {
            do {
                let measurement = try benchmark.measure(path)
                report.measurements.append(measurement)
                if !isJSON { print(measurement.tableRow) }
            } catch {
                failed += 1
                Terminal.report("headwater: \(UnusableImage(description: "\(error)").located(at: path))")
            }
        }
        guard !report.measurements.isEmpty else {
            throw CommandFailure(status: .unreadableInput, description: "PATHS names no image that can be read")
        }
        if isJSON { print(try JSONCoder.text(report, indented: true)) } else { report.summary.map { print($0) } }
        return failed == 0 ? .success : .negative
    }
}
