import FlowModel
import UntrustedText

extension Dialects {
    /// The dialect of a source.
    ///
    /// - Throws: `ImportError` that says what the source is if it is of none, of two, or of a kind that isn't supported.
    static func recognise(_ source: ImportSource) throws -> any Dialect {
        try UnsupportedModels.refuse(source)
        let found = all.filter { $0.recognises(source) }
        guard let dialect = found.first else { throw unknown(source) }
        guard found.count == 1 else {
            throw ImportError.unusable(
                "\(source.path): its tensors match several packages, \(found.map(\.name).joined(separator: " and ")); "
                    + "save a file with one network only"
            )
        }
        return dialect
    }

    private static func unknown(_ source: ImportSource) -> ImportError {
        let known = all.map(\.name).joined(separator: ", ")
        guard let names = source.root?.names else {
            let top = source.topLevelNames.prefix(20).map(quoted).joined(separator: ", ")
            return .unusable(
                "\(source.path): it has no tensors at the top level, only \(top.isEmpty ? "nothing" : top); supported "
                    + "packages are \(known)"
            )
        }
        return .unusable(
            "\(source.path): its \(names.count) tensor names match none of the supported packages, \(known); the first "
                + "names are "
                + names.prefix(3).map(quoted).joined(separator: ", "))
    }
}

/// Kinds of models that can't be imported, by what shows them.
enum UnsupportedModels {
    /// - Throws: `ImportError` if the source is of such a kind.
    static func refuse(_ source: ImportSource) throws {
        if ["cd_", "ct_"].contains(where: source.fileName.hasPrefix) {
            throw ImportError.unusable(
                "\(source.path): by its name (cd_ or ct_) it is a consistency model, which computes an image in one step and has no "
                    + "ODE; it has the same keys as its teacher, edm_…, which can be imported")
        }
        guard let tensors = source.root, let kind = kinds.first(where: { $0.isShown(tensors) }) else { return }
        throw ImportError.unusable("\(source.path): it is \(kind.problem)")
    }

    private static let kinds: [(problem: String, isShown: @Sendable (SourceTensors) -> Bool)] = [
        (
            "a diffusion transformer (DiT or SiT); only UNets are supported",
            { $0.contains("pos_embed") || $0.containsPrefix("x_embedder.") }
        ),
        (
            "an upsampler, whose first convolution reads 6 channels; only models of images alone are supported",
            { $0["input_blocks.0.0.weight"]?.shape.dropFirst().first == 6 }
        ),
        (
            "a classifier, an encoder without a decoder; only models that generate are supported",
            { GuidedDiffusionKeys.areIn($0) && !$0.containsPrefix("output_blocks.") }
        ),
        (
            "an NCSN++ network, whose UNet has Fourier features or pyramids; only DDPM++ is supported",
            { tensors in
                ["map_noise.freqs", "map_time.freqs", "aux_residual", "aux_skip"].contains { mark in
                    tensors.names.contains { $0.contains(mark) }
                } || tensors.contains("all_modules.0.W")
            }
        ),
        (
            "a text-conditional network; only unconditional and class-conditional networks are supported",
            { $0.names.contains { $0.contains(".transformer_blocks.") } }
        ),
        (
            "a network under iDDPM preconditioning (its buffer 'u' says so), which is not supported",
            { $0.contains("u") }
        ),
        (
            "a network of diffusers without its config.json, which says how wide heads are and how time is embedded; give the folder "
                + "of both",
            { $0.contains("conv_in.weight") && $0.containsPrefix("down_blocks.") }
        ),
    ]
}
