private import Synchronization

/// An image that waits to be decoded, until the thread whose turn it is takes it, or nobody wants it any more: then its
/// bytes, which nothing counts from there on, are freed at once.
final class DecodeTicket: Sendable {
    /// Whether it takes a decoder's time.
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
