import Digests
import ImagePipeline
import ReverseODE

/// All that an image's answer depends on within a process, whose kernels are chosen once: equal keys, the same bits.
struct AnswerKey: Hashable, Sendable {
    let version: ModelVersion
    let image: SHA256.Digest
    let decoding: DecodingMode
    let taps: [ResolvedTap]
    let wantsLogits: Bool
}

extension AnswerKey {
    /// What an array costs in addition to its elements: its header, and what the allocator rounds up.
    private static let arrayOverhead = 48

    /// Bytes on the heap of this key and its answer. The taps are the same buffer in both; the version's strings belong
    /// to the model.
    func heapBytes(with answer: ImageFeatures) -> Int {
        var bytes = Self.arrayOverhead + SHA256.Digest.byteCount
        bytes += Self.arrayOverhead + taps.count * MemoryLayout<ResolvedTap>.stride
        bytes += Self.arrayOverhead + answer.values.count * MemoryLayout<[Float]>.stride
        for numbers in answer.values + [answer.logits ?? []] {
            bytes += Self.arrayOverhead + numbers.count * MemoryLayout<Float>.stride
        }
        return bytes
    }
}

extension ImageFeatures {
    /// What a finished trajectory has found.
    init(_ trajectory: Trajectory) {
        self.init(taps: trajectory.taps, values: trajectory.features, logits: trajectory.logits)
    }
}
