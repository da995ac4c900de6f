import CheckpointFormats
import UntrustedText

/// The state of a run that trains a head on features: the features computed so far, and the same ``TrainingRecord`` as other runs
/// have, without steps.
extension TrainingState {
    /// Writes the features done, replacing what is at `path` only once everything is on the disk.
    ///
    /// - Parameter features: by the name that `Reader.restore` finds them under.
    /// - Throws: `FileError` if it can't be written; the old file is then still there.
    static func write(
        _ record: TrainingRecord, features: [(name: String, features: HeadFeatures)], to path: String
    ) throws {
        var record = record
        record.featuresDone = Dictionary(uniqueKeysWithValues: features.map { ($0.name, $0.features.done) })
        var contents: [String: () -> [Float]] = [:]
        var tensors: [TensorDescription] = []
        for (name, features) in features where features.count > 0 {
            let places = name + positionsSuffix
            tensors.append(try TensorDescription(name: name, type: .f32, shape: [features.count, features.width]))
            tensors.append(try TensorDescription(name: places, type: .f32, shape: [features.count]))
            contents[name] = { features.rows }
            contents[places] = { features.positions.map { Float($0) } }
        }
        try SafetensorsWriter.write(tensors, metadata: [metadataKey: try document(record)], to: path) { tensor in
            .floats(contents[tensor.name]!())
        }
    }

    /// What follows the name of features in that of their places in the data set, whole numbers that f32 holds exactly.
    static let positionsSuffix = ".positions"
}

extension TrainingState.Reader {
    /// Takes the features of that name over; there may be none yet.
    ///
    /// - Throws: `TrainingError.unusableState` if they are of another shape, too many or not finite.
    func restore(_ features: HeadFeatures, name: String) throws {
        guard let done = record.featuresDone?[name], done > 0 else { return }
        guard done <= features.total else { throw refusal("it has features of more images than the data set has") }
        guard let tensor = file[name] else {
            // All that was done was damaged.
            return features.take([], positions: [], done: done)
        }
        let places = name + TrainingState.positionsSuffix
        let positions = try file.floats(of: places).map { Int(exactly: $0) ?? -1 }
        guard tensor.type == .f32, tensor.shape == [positions.count, features.width] else {
            throw refusal("its tensor \(quoted(name)) has the shape \(tensor.shape), which is not this run's")
        }
        guard zip(positions, positions.dropFirst()).allSatisfy({ $0 < $1 }),
            positions.allSatisfy({ (0..<done).contains($0) })
        else {
            throw refusal("its tensor \(quoted(places)) doesn't contain ascending positions of images")
        }
        features.take(try finiteNumbers(name), positions: positions, done: done)
    }
}
