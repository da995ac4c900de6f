import Foundation
import ModelImport

/// A folder of diffusers, rewritten at every input.
private let folder: URL = {
    let folder = FileManager.default.temporaryDirectory.appending(path: "pipeline-\(getpid())")
    for name in ["unet", "scheduler"] {
        try! FileManager.default.createDirectory(
            at: folder.appending(path: name), withIntermediateDirectories: true)
    }
    return folder
}()

/// The input is model_index.json, unet/config.json, the scheduler's configuration and the header of the weights, with zero bytes
/// between them. An empty document is none.
func importFolder(_ input: inout FuzzInput) throws {
    let dataCount = input.integer(in: 0...(1 << 20))
    for name in ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"] {
        try write(input.prefix(upTo: 0), to: name)
    }
    let header = input.rest
    try write(
        withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header,
        to: "unet/diffusion_pytorch_model.safetensors", followedBy: dataCount)
    var stated = ImportSettings(name: "fuzzed")
    (stated.prediction, stated.schedule, stated.imageSize, stated.classChoice) = (.epsilon, .linear, 16, .null)
    _ = try? read(stated)
    try read(ImportSettings(name: "fuzzed"))
}

private func read(_ settings: ImportSettings) throws {
    let checkpoint = try CheckpointImport(path: folder.path, settings: settings)
    for parameter in checkpoint.parameters {
        let count = try? checkpoint.weights(parameter.key).count
        require(count == nil || count == parameter.count, "a tensor has as many numbers as the model needs")
    }
}

/// Writes a file, or removes it if it would be empty.
///
/// - Parameter zeros: bytes of a hole at its end.
private func write(_ bytes: [UInt8], to name: String, followedBy zeros: Int = 0) throws {
    let path = folder.appending(path: name).path
    guard !bytes.isEmpty else {
        unlink(path)
        return
    }
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    defer { close(file) }
    guard file >= 0, pwrite(file, bytes, bytes.count, 0) == bytes.count,
        ftruncate(file, off_t(bytes.count + zeros)) == 0
    else { fatalError("\(path) can't be written: \(String(cString: strerror(errno)))") }
}
