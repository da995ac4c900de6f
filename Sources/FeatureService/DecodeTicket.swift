private import Synchronization

/// An image that waits to be decoded, or a latent that waits to be computed, until a thread takes it or its request
/// withdraws it. Withdrawn bytes are freed at once, because no limit counts them any more.
final class DecodeTicket: Sendable {
    /// Whether that takes a decoder's time.
    let needsDecoder: Bool
    private let input: Mutex<FeatureInput?>

    init(_ input: FeatureInput) {
        needsDecoder =
            switch input {
            case .encoded, .noise, .latent: true
            case .normalized: false
            }
        self.input = Mutex(input)
    }

    /// The image; nil if it was withdrawn.
    func take() -> FeatureInput? { input.withLock { $0.take() } }

    func withdraw() { input.withLock { $0 = nil } }
}
