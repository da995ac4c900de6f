private import Synchronization

/// An image that waits to be decoded, until a thread takes it or its request withdraws it. Withdrawn bytes are freed at once,
/// because no limit counts them any more.
final class DecodeTicket: Sendable {
    /// Whether it has to be decoded.
    let needsDecoder: Bool
    private let input: Mutex<FeatureInput?>

    init(_ input: FeatureInput) {
        needsDecoder = if case .encoded = input { true } else { false }
        self.input = Mutex(input)
    }

    /// The image; nil if it was withdrawn.
    func take() -> FeatureInput? { input.withLock { $0.take() } }

    func withdraw() { input.withLock { $0 = nil } }
}
