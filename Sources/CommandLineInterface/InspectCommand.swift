import API
import CheckpointFormats
import FlowModel
import ReverseODE
import Tensor

/// `headwater inspect`: what is known of a model file.
enum InspectCommand {
    private static let model = Positional("MODEL", optional: .file, help: "The model file; the bundled one if none.")
    private static let json = Option(flag: "json", default: false, help: "Print JSON, as GET /model answers it.")
    private static let plan = Option(
        flag: "plan", default: false, help: "Print the algorithm of every 3x3 convolution.")

    static let command = Command(
        name: "inspect", abstract: "describe a model file",
        discussion: "Prints architecture, parameters, cost, grid, preprocessing, labels, size and digest.",
        options: [json.specification, plan.specification], positionals: [model.specification],
        examples: [
            Command.Example(line: "headwater inspect", effect: "Describe the model that is built in:"),
            Command.Example(line: "headwater inspect --json model.safetensors", effect: "For programs:"),
        ])

    static func run(_ arguments: ParsedArguments) throws -> Int32 {
        let file = try ModelFile(ModelSource.file(try arguments[model], access: .map))
        let description = try ModelDescription(
            configuration: file.configuration, sha256: file.sha256().description, byteCount: file.byteCount,
            storedType: file.elementTypes.map(\.rawValue).joined(separator: "+"))
        print(
            try arguments[json] ? try description.json() : text(description, file.configuration.selfTest),
            terminator: "")
        if try arguments[plan] {
            let model = try ReversibleModel(configuration: file.configuration, pool: KernelChoice.pool(nil)) {
                try file.tensor($0)
            }
            print("\n3x3 convolutions, with the \(Kernels.best.name) kernels:")
            for (key, algorithm) in model.network.algorithms {
                print("  \(padded(algorithm.rawValue, 8)) \(key)")
            }
        }
        return 0
    }

    private static func text(_ model: ModelDescription, _ selfTest: SelfTestRecord?) -> String {
        let unet = model.architecture
        func list(_ values: [some Any]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        var rows = [
            ("name", model.name),
            ("version", model.version),
            ("sha256", model.sha256),
            ("size", "\(model.byteCount) bytes, weights stored as \(model.storedType)"),
            (
                "network",
                "UNet, \(unet.imageSize)x\(unet.imageSize) pixels, width \(unet.modelChannels) times "
                    + "\(list(unet.channelMultipliers)), \(unet.residualBlocks) residual blocks a level, "
                    + "attention at 1/\(unet.attentionDownsampling.map(String.init).joined(separator: ", 1/")), "
                    + "\(unet.heads) heads"
            ),
            (
                "head",
                model.head.map {
                    "\($0.classes) classes from a \($0.pooledSize)x\($0.pooledSize) pooled state, hidden width "
                        + "\($0.hiddenWidth)"
                } ?? "none: pretrained only"
            ),
            ("parameters", "\(model.parameters)"),
            ("cost", "\((model.gigaflopsPerEvaluation * 1000).rounded() / 1000) GFLOP an evaluation"),
            ("path", "\(model.pass.path), integrated by \(model.pass.solver)"),
            ("grid", list(model.pass.times)),
            ("evaluations", "\(model.pass.evaluations) an image"),
            (
                "input",
                "shorter side to \(model.preprocessing.resizeShorterSide), centre \(model.preprocessing.cropSize)x"
                    + "\(model.preprocessing.cropSize), mean \(list(model.preprocessing.mean)), deviation "
                    + list(model.preprocessing.standardDeviation)
            ),
            ("default tap", model.defaultTap),
            ("places", model.places.map { "\($0.place) (\($0.dimension))" }.joined(separator: ", ")),
        ]
        rows.append(
            (
                "self-test",
                selfTest.map {
                    "\($0.embedding.count) numbers at \($0.tap) and \($0.logits?.count ?? 0) logits recorded, tolerance "
                        + "\($0.tolerance)"
                } ?? "nothing recorded"
            ))
        if let labels = model.labels { rows.append(("labels", list(labels))) }
        return rows.map { "\(padded($0.0, 12)) \($0.1)\n" }.joined()
    }
}

/// `text` with spaces up to `width` characters.
func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

/// `text` with spaces before it up to `width` characters.
func paddedLeft(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}
