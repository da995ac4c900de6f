/// How a stored image is turned to be shown: the EXIF tag's values, named after where row 0 and column 0 are shown.
public enum Orientation: Int, Sendable, CaseIterable {
    /// As stored.
    case topLeft = 1
    /// Mirrored left to right.
    case topRight
    /// Turned by half a turn.
    case bottomRight
    /// Mirrored top to bottom.
    case bottomLeft
    /// Transposed about the main diagonal.
    case leftTop
    /// To be turned clockwise by a quarter.
    case rightTop
    /// Transposed about the other diagonal.
    case rightBottom
    /// To be turned counterclockwise by a quarter.
    case leftBottom

    /// Whether the stored rows are shown as columns.
    public var isTransposed: Bool { rawValue >= Self.leftTop.rawValue }

    /// Whether the shown picture's x axis runs against its stored axis.
    var reflectsShownColumns: Bool {
        switch self {
        case .topRight, .bottomRight, .rightTop, .rightBottom: true
        case .topLeft, .bottomLeft, .leftTop, .leftBottom: false
        }
    }

    /// Whether the shown picture's y axis runs against its stored axis.
    var reflectsShownRows: Bool {
        switch self {
        case .bottomRight, .bottomLeft, .rightBottom, .leftBottom: true
        case .topLeft, .topRight, .leftTop, .rightTop: false
        }
    }
}
