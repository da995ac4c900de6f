import Arguments
import Benchmarks
import Console
import Extraction
import JSON
import Tensor
import Training

/// `headwater bench decoding`: from image files to a model's input.
enum DecodingBenchCommand: Subcommand {
    private static let paths = Positional("PATHS", repeated: .file, help: "Image files, or folders of images.")

    static let command = Command(
        name: "bench decoding", abstract: "time the decoding of images",
        discussion: """
            Times decoding and resizing twice: at full size, and at the reduced size that other commands use without \
            --exact-decode. Also prints the cosine between the two embeddings.
            """,
        options: [ModelSource.options, [BenchCommand.seconds, BenchCommand.json], Computation.options],
        positionals: [paths],
        examples: ["How long photographs take to be decoded:": "headwater bench decoding photos"])

    /// - Returns: `negative` if a file could not be measured.
    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments)
        let served = try ModelSource.load(try arguments[ModelSource.option], computation)
        let files = ImageFiles(try arguments[paths])
        var failed = files.unreadable.count
        for error in files.unreadable { Terminal.report("headwater: \(error)") }
        let benchmark = try DecodingBenchmark(served, on: computation, seconds: try arguments[BenchCommand.seconds])
        var report = benchmark.report()
        var table = try BenchTable<DecodingBenchmark.Measurement>(arguments, title: report.title)
        for path in files.paths {
            do {
                table.append(try benchmark.measure(path))
            } catch {
                failed += 1
                Terminal.report("headwater: \(UnusableImage(description: "\(error)").located(at: path))")
            }
        }
        guard !table.rows.isEmpty else {
            throw CommandFailure(.unreadableInput, "PATHS names no image that can be read")
        }
        report.measurements = table.rows
        try table.end(report, summary: report.summary)
        return failed == 0 ? .success : .negative
    }
}
