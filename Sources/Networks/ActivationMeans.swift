/// What is read of a network's activations: their means over the whole plane at a place, or over each cell of a grid that divides
/// the plane.
public struct ActivationMeans: Hashable, Sendable {
    /// Where.
    public let place: ActivationPlace
    /// Rows of the grid, and as many columns; 1 is the whole plane. No more than the plane's side, at which every pixel is a cell.
    public let divisions: Int

    /// Names means; `divisions` is at least 1.
    public init(_ place: ActivationPlace, divisions: Int = 1) {
        precondition(divisions >= 1)
        self.place = place
        self.divisions = divisions
    }
}

extension ActivationMeans: LosslessStringConvertible {
    /// As requests and configurations spell it: the place, and the grid if it has more than one cell, such as `middle`, `up.1:2x2`.
    public var description: String { divisions == 1 ? "\(place)" : "\(place):\(divisions)x\(divisions)" }

    /// Reads what `description` writes, and a grid of `1x1`; nil if it isn't of that form.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let first = parts.first, let place = ActivationPlace(first) else { return nil }
        switch parts.count {
        case 1: self.init(place)
        case 2:
            let sides = parts[1].split(separator: "x", omittingEmptySubsequences: false)
            guard sides.count == 2, sides[0] == sides[1],
                (1...3).contains(sides[0].utf8.count), !sides[0].hasPrefix("0"),
                sides[0].utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
                let divisions = Int(sides[0])
            else { return nil }
            self.init(place, divisions: divisions)
        default: return nil
        }
    }
}

extension ActivationMeans: Codable {
    /// Reads the text form.
    ///
    /// - Throws: `DecodingError` if it isn't one.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let means = Self(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "is not a place such as middle, down.3 or up.0:2x2")
        }
        self = means
    }

    /// Writes the text form.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
