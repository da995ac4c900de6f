/// The rows, or columns, of one of the parts into which average pooling divides a plane, as PyTorch's AdaptiveAvgPool2d defines
/// them: neighbours may share a row where the parts don't divide the side evenly.
///
/// - Parameters:
///   - part: 0 ..< `parts`.
///   - parts: 1 ... `side`.
///   - side: pixels.
public func poolingWindow(_ part: Int, of parts: Int, side: Int) -> Range<Int> {
    (part * side / parts)..<((part + 1) * side + parts - 1) / parts
}
