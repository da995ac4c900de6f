/// How the velocity network's products are computed.
public enum Precision: String, CaseIterable, Codable, Sendable {
    /// 32-bit floats throughout.
    case f32
    /// The factors of 3x3 and 1x1 convolutions rounded to bf16, sums and activations in f32. Needs kernels that multiply
    /// bf16.
    case bf16
}
