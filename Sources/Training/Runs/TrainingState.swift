import CKernels
import CheckpointFormats
import Differentiation
import FlowModel
import JSON
import UntrustedText

/// The file that a run goes on from: a safetensors file with the weights, the optimizer's moments, their average if one is
/// kept, and under `headwater-training` the ``TrainingRecord``. Random numbers and the order of data follow from the seed
/// and the step, so nothing else is needed.
package enum TrainingState {
    /// The `__metadata__` key of the record.
    package static let metadataKey = "headwater-training"

    /// A tensor of a file, and where its numbers are in memory.
    private struct Entry {
        let name: String
        let shape: [Int]
        /// What it is, for messages.
        let meaning: String
        let values: UnsafeMutableBufferPointer<Float>
    }

    /// Of what a state would hold, the first that isn't finite and so couldn't be resumed from; nil if all is.
    static func nonFinitePart(
        _ optimizer: AdamW, average: ExponentialMovingAverage?, store: ParameterStore
    ) -> String? {
        entries(optimizer, average, store).first { !hw_all_finite($0.values.baseAddress, $0.values.count) }?.meaning
    }

    /// Writes the state, replacing what is at `path` only once everything is on the disk.
    ///
    /// - Throws: `FileError` if it can't be written; the old file is then still there.
    static func write(
        _ record: TrainingRecord, _ optimizer: AdamW, average: ExponentialMovingAverage?, store: ParameterStore,
        to path: String
    ) throws {
        let entries = entries(optimizer, average, store)
        let tensors = try entries.map { try TensorDescription(name: $0.name, type: .f32, shape: $0.shape) }
        let values = Dictionary(uniqueKeysWithValues: entries.map { ($0.name, $0.values) })
        try SafetensorsWriter.write(tensors, metadata: [metadataKey: try document(record)], to: path) { tensor in
            .floats(Array(values[tensor.name]!))
        }
    }

    /// The record as a file holds it.
    static func document(_ record: TrainingRecord) throws -> String { try JSONCoder.text(record) }

    /// A state file whose record has been read.
    package struct Reader {
        package let record: TrainingRecord
        let path: String
        let file: SafetensorsFile

        /// Opens and checks the file at `path`.
        ///
        /// - Parameter access: `onDemand` if only the record matters.
        /// - Throws: `FileError`, `CheckpointError` or `TrainingError.unusableState`.
        package init(path: String, access: SafetensorsFile.Access = .load) throws {
            file = try SafetensorsFile(path: path, access: access)
            self.path = path
            func refusal(_ problem: String) -> TrainingError { .unusableState(path: path, problem: problem) }
            guard let document = file.metadata[metadataKey] else {
                throw refusal("it is not the state of a training run")
            }
            do {
                record = try JSONCoder.decode(TrainingRecord.self, from: document.utf8)
            } catch {
                throw refusal("its record can't be read (\(error)); it was written by another version, or is damaged")
            }
            guard (1...TrainingRecord.currentFormatVersion).contains(record.formatVersion), record.isPlausible else {
                throw refusal("its record is not one that this version writes; begin the run again")
            }
        }

        /// Checks that the state is that of a run with these settings.
        ///
        /// - Parameter restartsSchedule: whether the learning-rate schedule begins again, so that its settings may differ.
        /// - Throws: `TrainingError.otherRun` naming those that differ.
        func requireSettings(_ settings: TrainingSettings, restartsSchedule: Bool = false) throws(TrainingError) {
            let differences = record.differences(
                to: settings, but: restartsSchedule ? TrainingRecord.scheduleSettings : [])
            guard differences.isEmpty else { throw TrainingError.otherRun(path: path, differences: differences) }
        }

        /// Takes the weights, moments and average over.
        ///
        /// - Throws: `TrainingError.unusableState` if tensors are missing, of another shape, too many or not finite.
        func restore(_ optimizer: AdamW, average: ExponentialMovingAverage?, store: ParameterStore) throws {
            let entries = entries(optimizer, average, store)
            guard file.tensors.count == entries.count else {
                throw refusal("it has \(file.tensors.count) tensors, not \(entries.count)")
            }
            for entry in entries {
                guard let tensor = file[entry.name], tensor.shape == entry.shape, tensor.type == .f32 else {
                    throw refusal("it has no tensor \(quoted(entry.name)) of shape \(entry.shape) in f32")
                }
                _ = entry.values.update(fromContentsOf: try finiteNumbers(entry.name))
            }
            optimizer.stepCount = record.step
        }

        /// A tensor's numbers, all finite.
        func finiteNumbers(_ name: String) throws -> [Float] {
            let values = try file.floats(of: name)
            if let index = firstNonFinite(values) {
                throw refusal("tensor \(quoted(name)) is not finite at number \(index)")
            }
            return values
        }

        func refusal(_ problem: String) -> TrainingError { .unusableState(path: path, problem: problem) }
    }

    private static func entries(
        _ optimizer: AdamW, _ average: ExponentialMovingAverage?, _ store: ParameterStore
    ) -> [Entry] {
        let parts =
            [
                ("weight", "the parameter", store.values), ("first", "the first moment of", optimizer.first),
                ("second", "the second moment of", optimizer.second),
            ] + (average.map { [("average", "the average of", $0.values)] } ?? [])
        return parts.flatMap { part, meaning, values in
            store.shapes.map { parameter in
                let range = store.range(of: parameter.key)
                return Entry(
                    name: "\(part).\(parameter.key)", shape: parameter.shape, meaning: "\(meaning) \(parameter.key)",
                    values: UnsafeMutableBufferPointer(start: values + range.lowerBound, count: range.count))
            }
        }
    }
}

extension TrainingRecord {
    /// Whether its counts could be a run's, so that nothing after it need doubt them.
    fileprivate var isPlausible: Bool {
        let counts = [step, epoch, scheduleStart ?? 0, sums.batches, sums.images, sums.correct ?? 0]
        return counts.allSatisfy { (0...1 << 48).contains($0) } && history.count == epoch && scheduleStart ?? 0 <= step
    }
}
