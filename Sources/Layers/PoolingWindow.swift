/// The rows, or columns, of a plane that one of the parts averages into which pooling divides it, as PyTorch's AdaptiveAvgPool2d
/// defines them: parts overlap by a pixel where they don't divide the side evenly.
///
/// - Parameters:
///   - part: 0 ..< `parts`.
///   - parts: 1 ... `side`.
///   - side: pixels.
public func poolingWindow(_ part: Int, of parts: Int, side: Int) -> Range<Int> {
    (part * side / parts)..<((part + 1) * side + parts - 1) / parts
}
