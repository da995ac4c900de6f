import FlowModel
import Foundation
import ModelImport
import ReverseODE
import Tensor
import TestFixtures

@testable import API
@testable import CheckpointFormats
@testable import FeatureService

/// Checkpoints, uploaded or imported.
let checkpointTargets = [
    FuzzTarget(
        name: "safetensors", kind: .parser, maximumLength: 4096,
        promise: "every tensor's bytes lie in the file and are as many as its description says",
        run: { try readTensors(&$0) }),
    FuzzTarget(
        name: "upload", kind: .parser, maximumLength: 4096,
        promise: "a configuration that was taken is one that a model can be built of and asked for its taps",
        run: { try upload(&$0) }),
    FuzzTarget(
        name: "load-path", kind: .parser, maximumLength: 512,
        promise: "what is loaded lies in the model directory",
        run: { input in
            let path = try LoadPost(input.rest).path
            do throws(CheckpointRefusal) {
                let found = try models.resolve(path)
                require(found.real.hasPrefix(models.path + "/"), "\(found.real) lies in the model directory")
            } catch {
                throw Problem(error)
            }
        }),
    FuzzTarget(
        name: "pickle", kind: .parser, maximumLength: 4096,
        promise: "what was built is finite and its tensors' layouts stay in their storages",
        run: { try unpickle($0.rest) }),
    FuzzTarget(
        name: "zip", kind: .parser, maximumLength: 8192,
        promise: "a tensor gives as many numbers as its shape says; half of the inputs are put into a sound archive",
        run: { try readArchive(&$0) }),
    FuzzTarget(
        name: "diffusers", kind: .decoder, maximumLength: 16_384,
        promise: "a folder that is understood gives tensors of as many numbers as its model needs",
        run: { try importFolder(&$0) }),
]

// MARK: - safetensors

private func safetensors(header: [UInt8], data: [UInt8]) -> [UInt8] {
    withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header + data
}

private func readTensors(_ input: inout FuzzInput) throws {
    // Two thirds of the inputs are headers only, which get a length and data.
    let isHeader = input.byte() % 3 > 0
    let dataCount = isHeader ? input.integer(in: 0...512) : 0
    let bytes = isHeader ? safetensors(header: input.rest, data: Array(repeating: 0x3C, count: dataCount)) : input.rest
    let file = try SafetensorsFile(bytes: bytes)
    for tensor in file.tensors {
        let count = try file.withUnsafeBytes(of: tensor.name) { bytes in
            bytes.count { $0 == 0x3C } <= bytes.count ? bytes.count : 0
        }
        require(count == tensor.byteCount, "a tensor's bytes are as many as it says")
        if let floats = try? file.floats(of: tensor.name) {
            require(floats.count == tensor.count, "a tensor's numbers are as many as it says")
        }
    }
}

/// The input is the configuration. Small models get the tensors that they call for.
private func upload(_ input: inout FuzzInput) throws {
    let isBuilt = input.byte() % 64 == 0
    let document = String(decoding: input.rest, as: UTF8.self)
    guard let metadata = try? JSONEncoder().encode(["__metadata__": [ModelFile.metadataKey: document]]) else { return }
    do {
        _ = try ModelFile(SafetensorsFile(bytes: safetensors(header: Array(metadata), data: [])))
    } catch ModelError.missingTensor where isBuilt {
        let configuration = try JSONDecoder().decode(ModelConfiguration.self, from: Data(document.utf8))
        let parameters = try ModelFile.parameters(of: configuration)
        guard parameters.reduce(0, { $0 + $1.count }) <= 300_000, configuration.grid.count <= 64 else { return }
        var header = String(decoding: metadata.dropLast(), as: UTF8.self)
        var end = 0
        for parameter in parameters {
            let start = end
            end += 2 * parameter.count
            header +=
                ",\"\(parameter.key)\":{\"dtype\":\"F16\",\"shape\":\(parameter.shape),\"data_offsets\":[\(start),\(end)]}"
        }
        let file = try SafetensorsFile(
            bytes: safetensors(header: Array((header + "}").utf8), data: Array(repeating: 0x11, count: end)))
        let model = try ModelLoader(pool: pool).load(file)
        _ = try configuration.selfTest.map { try Tap(parsing: $0.tap) }
        require(model.version.name == configuration.name, "the model is the one that was uploaded")
    }
}

private let pool = WorkerPool(count: 1)

/// A model directory with a model, a folder and links that lead out.
private let models: ModelDirectory = {
    let folder = FileManager.default.temporaryDirectory.appending(path: "models-\(getpid())")
    let files = FileManager.default
    try! files.createDirectory(at: folder.appending(path: "sub"), withIntermediateDirectories: true)
    for name in ["a", "sub/b"] { try! Data([1]).write(to: folder.appending(path: name)) }
    for (name, target) in [("out", "/"), ("self", "."), ("loop", "loop"), ("up", "..")] {
        try! files.createSymbolicLink(atPath: folder.appending(path: name).path, withDestinationPath: target)
    }
    return try! ModelDirectory(path: folder.path)
}()

// MARK: - PyTorch

private func unpickle(_ bytes: [UInt8]) throws {
    let limits = RestrictedUnpickler.Limits(
        operations: 20_000, stackDepth: 5000, openMarks: 100, memoEntries: 10_000, stringByteCount: 4096)
    let pickle = try RestrictedUnpickler.load(bytes, limits: limits)
    for collection in pickle.collections {
        if collection.kind == .dictionary {
            require(collection.elements.count.isMultiple(of: 2), "each key has a value")
        }
        for case .tensor(let tensor) in collection.elements {
            guard let layout = try? tensor.layout(), layout.storageByteCount <= 1 << 16 else { continue }
            let gathered = tensor.gather(layout, from: Array(repeating: 0, count: layout.storageByteCount))
            require(gathered.count == layout.count * tensor.type.byteCount, "a view has as many numbers as it says")
        }
    }
    _ = pickle.pairs(pickle.root)
}

private func readArchive(_ input: inout FuzzInput) throws {
    let isWrapped = input.bool()
    let storage = input.integer(in: 0...1024)
    var bytes = input.rest
    if isWrapped {
        var zip = StoredZip()
        zip.add("a/data.pkl", bytes)
        zip.add("a/byteorder", Array("little".utf8))
        for key in 0..<3 { zip.add("a/data/\(key)", Array(repeating: 0x3C, count: storage >> key)) }
        bytes = zip.finish()
    }
    try withFile(bytes) { path in
        let archive = try PyTorchArchive(path: path)
        for name in archive.topLevelNames.prefix(4) {
            guard let tensors = try? archive.stateDictionary(name) else { continue }
            for tensor in tensors.prefix(16) {
                guard let floats = try? archive.floats(of: tensor.tensor) else { continue }
                require(floats.count == tensor.tensor.shape.reduce(1, *), "a tensor's numbers are as its shape says")
            }
        }
        let reference = ImportSettings(
            name: "fuzzed", imageSize: 32, path: .icfm, grid: TimeGridConfiguration(count: 8))
        var published = ImportSettings(name: "fuzzed")
        (published.imageSize, published.heads, published.classChoice) = (32, 1, .index(0))
        (published.order, published.schedule) = (.thirds, .cosine)
        for settings in [reference, published, ImportSettings(name: "fuzzed")] {
            guard let checkpoint = try? CheckpointImport(path: path, settings: settings) else { continue }
            for parameter in checkpoint.parameters {
                let count = try? checkpoint.weights(parameter.key).count
                require(count == nil || count == parameter.count, "a tensor has as many numbers as the model needs")
            }
        }
    }
}
