import CheckpointFormats
import Console
import Files
import FlowModel
import ImagePipeline
import JSON

/// The shape of a network as a JSON document, with the keys that a model's configuration has under `architecture`.
enum ArchitectureFile {
    private static let largest = 1 << 16

    /// Reads a file.
    ///
    /// - Throws: `CommandFailure`, or `ConfigurationError` if the network can't be built.
    static func read(_ path: String) throws -> UNetArchitecture {
        guard let bytes = try? FileDescriptor.contents(of: path, limit: largest) else {
            throw CommandFailure(status: .unreadableInput, description: "\(path): the architecture can't be read")
        }
        guard bytes.count <= largest, let document = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(status: .unusableData, description: "\(path): not a JSON document of up to 64 KiB")
        }
        do {
            return try UNetArchitecture(json: document)
        } catch {
            throw CommandFailure(status: .unusableData, description: "\(path): \(error)")
        }
    }
}
