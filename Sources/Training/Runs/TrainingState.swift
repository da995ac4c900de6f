import CKernels
public import CheckpointFormats
public import Differentiation
import FlowModel
import JSON
import UntrustedText

/// The file that a run goes on from: a safetensors file with the weights, the optimizer's moments, their average if one is
/// kept, and under `headwater-training` the ``TrainingRecord``. Random numbers and the order of data follow from the seed
/// and the step, so nothing else is needed.
public enum TrainingState {
    /// The `__metadata__` key of the record.
    public static let metadataKey = "headwater-training"

    /// What a file holds for every parameter.
    private enum Part: String {
        case weight, first, second, average

        /// As messages name it.
        func name(of key: String) -> String {
            switch self {
            case .weight: "the parameter \(key)"
            case .first: "the first moment of \(key)"
            case .second: "the second moment of \(key)"
            case .average: "the average of \(key)"
            }
        }
    }

    /// Of what a state would hold, the first that isn't finite and so couldn't be resumed from; nil if all is.
    static func nonFinitePart(
        _ optimizer: AdamW, average: ExponentialMovingAverage?, store: ParameterStore
    ) -> String? {
        for part in sources(optimizer, average, store) {
            for shape in store.shapes {
                let values = part.values + (store.value(shape.key) - store.values)
                if !hw_all_finite(values, shape.count) { return part.kind.name(of: shape.key) }
            }
        }
        return nil
    }

    /// Writes the state, replacing what is at `path` only once everything is on the disk.
    ///
    /// - Throws: `FileError` if it can't be written; the old file is then still there.
    public static func write(
        _ record: TrainingRecord, _ optimizer: AdamW, average: ExponentialMovingAverage?, store: ParameterStore,
        to path: String
    ) throws {
        let parts = sources(optimizer, average, store)
        var places: [String: UnsafePointer<Float>] = [:]
        var tensors: [TensorDescription] = []
        for part in parts {
            for shape in store.shapes {
                let name = "\(part.kind.rawValue).\(shape.key)"
                let offset = store.value(shape.key) - store.values
                places[name] = UnsafePointer(part.values + offset)
                tensors.append(try TensorDescription(name: name, type: .f32, shape: shape.shape))
            }
        }
        try SafetensorsWriter.write(tensors, metadata: [metadataKey: try document(record)], to: path) { tensor in
            .floats(Array(UnsafeBufferPointer(start: places[tensor.name]!, count: tensor.count)))
        }
    }

    /// The record as a file holds it.
    static func document(_ record: TrainingRecord) throws -> String { try JSONCoder.text(record) }

    /// A state file whose record has been read.
    public struct Reader {
        /// Where the run stood.
        public let record: TrainingRecord
        let path: String
        let file: SafetensorsFile

        /// Opens and checks the file at `path`.
        ///
        /// - Parameter access: `onDemand` if only the record matters.
        /// - Throws: `FileError`, `CheckpointError` or `TrainingError.unusableState`.
        public init(path: String, access: SafetensorsFile.Access = .load) throws {
            file = try SafetensorsFile(path: path, access: access)
            self.path = path
            guard let document = file.metadata[metadataKey] else {
                throw TrainingError.unusableState(path: path, problem: "it is not the state of a training run")
            }
            do {
                record = try JSONCoder.decode(TrainingRecord.self, from: document.utf8)
            } catch {
                throw TrainingError.unusableState(
                    path: path,
                    problem: "its record can't be read (\(error)); it was written by another version, or is damaged")
            }
            guard (1...TrainingRecord.currentFormatVersion).contains(record.formatVersion), record.isPlausible else {
                throw TrainingError.unusableState(
                    path: path, problem: "its record is not one that this version writes; begin the run again")
            }
        }

        /// Checks that the state is that of a run with these settings.
        ///
        /// - Parameter restartsSchedule: whether the learning-rate schedule begins again, so that its settings may differ.
        /// - Throws: `TrainingError.otherRun` naming those that differ.
        public func requireSettings(
            _ settings: TrainingSettings, restartsSchedule: Bool = false
        ) throws(TrainingError) {
            let differences = record.differences(
                to: settings, but: restartsSchedule ? TrainingRecord.scheduleSettings : [])
            guard differences.isEmpty else { throw TrainingError.otherRun(path: path, differences: differences) }
        }

        /// Takes the weights, moments and average over.
        ///
        /// - Throws: `TrainingError.unusableState` if tensors are missing, of another shape, too many or not finite.
        public func restore(
            _ optimizer: AdamW, average: ExponentialMovingAverage?, store: ParameterStore
        ) throws {
            func refuse(_ problem: String) -> TrainingError { .unusableState(path: path, problem: problem) }
            let parts = sources(optimizer, average, store)
            guard file.tensors.count == parts.count * store.shapes.count else {
                throw refuse("it has \(file.tensors.count) tensors, not \(parts.count * store.shapes.count)")
            }
            for part in parts {
                for shape in store.shapes {
                    let name = "\(part.kind.rawValue).\(shape.key)"
                    guard let tensor = file[name], tensor.shape == shape.shape, tensor.type == .f32 else {
                        throw refuse("it has no tensor \(quoted(name)) of shape \(shape.shape) in f32")
                    }
                    let values = try file.floats(of: name)
                    if let index = firstNonFinite(values) {
                        throw refuse("tensor \(quoted(name)) is not finite at number \(index)")
                    }
                    (part.values + (store.value(shape.key) - store.values)).update(from: values, count: values.count)
                }
            }
            optimizer.stepCount = record.step
        }
    }

    private static func sources(
        _ optimizer: AdamW, _ average: ExponentialMovingAverage?, _ store: ParameterStore
    ) -> [(kind: Part, values: UnsafeMutablePointer<Float>)] {
        [(.weight, store.values), (.first, optimizer.first), (.second, optimizer.second)]
            + (average.map { [(.average, $0.values)] } ?? [])
    }
}

extension TrainingRecord {
    /// Whether its counts could be a run's, so that nothing after it need doubt them.
    fileprivate var isPlausible: Bool {
        let counts = [step, epoch, scheduleStart ?? 0, sums.batches, sums.images, sums.correct ?? 0]
        return counts.allSatisfy { (0...1 << 48).contains($0) } && history.count == epoch && scheduleStart ?? 0 <= step
    }
}
