import CheckpointFormats
import Files
import UntrustedText

/// A folder that diffusers saved: a pipeline with a scheduler, or a model alone.
struct DiffusersFolder {
    /// The model's configuration.
    let configuration: ConfigurationFile
    /// The scheduler's; nil in a model's folder.
    let scheduler: ConfigurationFile?
    /// The class of the pipeline; nil in a model's folder.
    let pipelineClass: String?
    /// The names of the pipeline's parts.
    let parts: Set<String>

    private let modelFolder: String

    /// The parts of a pipeline that don't change what a UNet of images computes.
    private static let knownParts: Set<String> = ["unet", "scheduler"]

    /// Whether there is a folder at `path`.
    static func isFolder(_ path: String) -> Bool { RegularFile.exists(path + "/.") }

    /// Opens the documents in the folder at `path`.
    ///
    /// - Throws: `ImportError` if there are none, `FileError` and `CheckpointError` if they can't be read.
    init(path: String) throws {
        let index = try ConfigurationFile(path: path + "/model_index.json")
        let members = try index?.decode([String: JSONValue].self) ?? [:]
        if case .string(let name)? = members["_class_name"] { pipelineClass = name } else { pipelineClass = nil }
        parts = Set(members.filter { if case .list(let isNull) = $0.value { !isNull } else { false } }.keys)
        // Old pipelines have everything at the root.
        let folders = index == nil ? [path] : [path + "/unet", path]
        guard
            let found = try folders.lazy.compactMap({ folder in
                try ConfigurationFile(path: folder + "/config.json").map { (folder, $0) }
            }).first
        else {
            throw ImportError.unusable(
                "\(path): the folder has no \(index == nil ? "config.json or model_index.json" : "unet/config.json or config.json"); "
                    + "only folders of diffusers can be imported")
        }
        (modelFolder, configuration) = found
        scheduler =
            try ConfigurationFile(path: path + "/scheduler/scheduler_config.json")
            ?? ConfigurationFile(path: path + "/scheduler_config.json")
    }

    /// The model's tensors.
    ///
    /// - Throws: `ImportError` if no file has them, and what reading throws.
    func tensors() throws -> SourceTensors {
        let name = modelFolder + "/diffusion_pytorch_model"
        if RegularFile.exists(name + ".safetensors") {
            return try SourceTensors(SafetensorsFile(path: name + ".safetensors", access: .onDemand))
        }
        guard RegularFile.exists(name + ".bin") else {
            throw ImportError.unusable(
                "\(modelFolder): there is neither diffusion_pytorch_model.safetensors nor .bin; variants and shards are not supported, "
                    + "save the model again with save_pretrained")
        }
        let archive = try PyTorchArchive(path: name + ".bin")
        guard let entries = try archive.rootStateDictionary() else {
            throw ImportError.unusable("\(name).bin: there are no tensors at its top")
        }
        return try SourceTensors(entries, of: archive)
    }

    /// - Throws: `ImportError` if the pipeline is of a kind that isn't supported.
    func requireSupported() throws {
        if pipelineClass?.hasPrefix("ConsistencyModel") ?? false {
            throw ImportError.unusable("it is a consistency model (\(quoted(pipelineClass!))), which has no ODE")
        }
        if let part = ["vae", "vqvae"].first(where: parts.contains) {
            throw ImportError.unusable(
                "it is a latent model (model_index.json has \(quoted(part))), whose network doesn't see images; only models of "
                    + "images are supported")
        }
        if parts.contains("text_encoder") {
            throw ImportError.unusable("it is a text-conditional network, which is not supported")
        }
        if let part = parts.subtracting(Self.knownParts).min() {
            throw ImportError.unusable(
                "model_index.json has \(quoted(part)), which is not supported; only unet and scheduler are")
        }
    }
}

/// A value of model_index.json, as far as it matters.
private enum JSONValue: Decodable {
    case string(String)
    /// A library and a class, both null for a part that is absent.
    case list(isNull: Bool)
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = .string(text)
        } else if let names = try? container.decode([String?].self) {
            self = .list(isNull: names.allSatisfy { $0 == nil })
        } else {
            self = .other
        }
    }
}
