private import Files
import FlowModel
import UntrustedText

/// A file of the model directory that looks like a checkpoint.
package struct CatalogueEntry: Sendable, Equatable {
    /// The file's path relative to the directory.
    package let path: String
    /// The same with links followed, as `CheckpointSource` has it.
    package let realPath: String
    /// The name of the model in it; nil if it is no model that could be served.
    package let name: String?
    /// Why it has no name, without the directory's path.
    package let fault: String?
}

extension ModelDirectory {
    /// The files named `….safetensors` directly in the folder, by path. Their headers are read, not their weights: for
    /// threads that may wait for a disk.
    package func catalogue() -> [CatalogueEntry] {
        let names = ((try? Folder.names(in: path)) ?? []).map { String(pathBytes: $0) }
        return names.filter { $0.hasSuffix(".safetensors") }.sorted().compactMap { name in
            // What leads out of the folder can't be loaded, so it isn't there.
            guard let file = try? resolve(name) else { return nil }
            do {
                let model = try ModelFile(path: file.real, access: .onDemand)
                return CatalogueEntry(path: name, realPath: file.relative, name: model.configuration.name, fault: nil)
            } catch {
                return CatalogueEntry(path: name, realPath: file.relative, name: nil, fault: reason(error))
            }
        }
    }
}
