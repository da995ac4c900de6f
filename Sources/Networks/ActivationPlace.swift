/// Where in the network activations can be read.
public enum ActivationPlace: Hashable, Sendable {
    /// After the middle block.
    case middle
    /// After input block i, 0 being the first convolution.
    case down(Int)
    /// After output block i.
    case up(Int)
}

extension ActivationPlace: CustomStringConvertible {
    /// As it is written: `middle`, `down.3`, `up.0`.
    public var description: String {
        switch self {
        case .middle: "middle"
        case .down(let i): "down.\(i)"
        case .up(let i): "up.\(i)"
        }
    }

    /// Reads a place; nil if there is none of that name in any network.
    public init?(_ text: some StringProtocol) {
        if text == "middle" {
            self = .middle
            return
        }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].count <= 4, parts[1].allSatisfy({ $0.isASCII && $0.isNumber }),
            let index = Int(parts[1])
        else { return nil }
        switch parts[0] {
        case "down": self = .down(index)
        case "up": self = .up(index)
        default: return nil
        }
    }
}
