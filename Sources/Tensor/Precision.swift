/// How the velocity network's products are computed.
public enum Precision: String, CaseIterable, Codable, Sendable {
    /// 32-bit floats throughout.
    case f32
    /// Factors rounded to bf16 where that is faster than f32 (small maps and 1x1 convolutions), sums and activations in
    /// f32. Needs kernels that multiply bf16.
    case bf16
}
