import CImageCodecs

/// How pixels are weighed when an image is resized.
public enum ResamplingFilter: Sendable {
    /// The mean of the pixels covered.
    case box
    /// A cubic over four pixels, a = -0.5.
    case bicubic

    /// How far it reaches, in pixels of an image that isn't reduced.
    fileprivate var support: Double { self == .box ? 0.5 : 2 }

    fileprivate func weight(at position: Double) -> Double {
        guard self == .bicubic else { return position > -0.5 && position <= 0.5 ? 1 : 0 }
        let a = -0.5
        let x = abs(position)
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
        return 0
    }
}

/// The weights by which one axis of an image is resized with one of Pillow's antialiased filters.
///
/// Sizes shrink with a filter that widens with the scale, so every source pixel counts. The weights are computed in
/// double, normalised to a sum of 1 and rounded to fixed point exactly as Pillow does for 8-bit images.
struct ResamplingAxis {
    /// The source pixels that each output is made of.
    private(set) var spans: [ImageResampleSpan]
    /// Fixed-point weights in the layout [outputs][stride], zero beyond a span's count.
    private(set) var weights: [Int32]
    /// Weights kept for each output.
    let stride: Int

    /// Weights for `outputs` of the `resizedLength` pixels that a part of `length` source pixels is resized to.
    ///
    /// - Parameter part: where on the source the picture begins and ends, in pixels, as Pillow's `box` says it.
    init(
        length: Int, part: (start: Double, end: Double), resizedLength: Int, outputs: Range<Int>,
        filter: ResamplingFilter = .bicubic
    ) {
        let scale = (part.end - part.start) / Double(resizedLength)
        let filterScale = max(scale, 1)
        let support = filter.support * filterScale
        stride = (Int(support) + 1) * 2 + 1
        spans = []
        spans.reserveCapacity(outputs.count)
        weights = [Int32](repeating: 0, count: outputs.count * stride)

        var exact = [Double](repeating: 0, count: stride)
        for (row, output) in outputs.enumerated() {
            let center = part.start + (Double(output) + 0.5) * scale
            let start = max(Int(center - support + 0.5), 0)
            let count = min(Int(center + support + 0.5), length) - start
            var sum = 0.0
            for index in 0..<count {
                exact[index] = filter.weight(at: (Double(index + start) - center + 0.5) * (1 / filterScale))
                sum += exact[index]
            }
            for index in 0..<count {
                weights[row * stride + index] = Self.fixedPoint(sum == 0 ? exact[index] : exact[index] / sum)
            }
            spans.append(ImageResampleSpan(start: Int32(start), count: Int32(count)))
        }
    }

    /// Weights for `outputs` of the `resizedLength` pixels that the first `extent` of `length` stored pixels are resized
    /// to, which are shown in reverse if `isReflected`.
    init(
        length: Int, extent: Double, isReflected: Bool, resizedLength: Int, outputs: Range<Int>,
        filter: ResamplingFilter = .bicubic
    ) {
        guard isReflected else {
            self.init(length: length, part: (0, extent), resizedLength: resizedLength, outputs: outputs, filter: filter)
            return
        }
        self = ResamplingAxis(
            length: length, part: (Double(length) - extent, Double(length)), resizedLength: resizedLength,
            outputs: outputs, filter: filter
        ).reflected(length: length)
    }

    /// The source pixels that any output needs.
    var sourceRange: Range<Int> {
        let start = spans.map(\.start).min() ?? 0
        return Int(start)..<Int(spans.map { $0.start + $0.count }.max() ?? start)
    }

    /// The same outputs from a source of `length` pixels that is stored in reverse.
    private func reflected(length: Int) -> ResamplingAxis {
        var result = self
        for (row, span) in spans.enumerated() {
            result.spans[row].start = Int32(length) - span.start - span.count
            let kept = row * stride..<row * stride + Int(span.count)
            result.weights.replaceSubrange(kept, with: weights[kept].reversed())
        }
        return result
    }

    /// The same outputs from a source of which only `sourceRange` is left.
    var fromSourceRange: ResamplingAxis {
        let offset = Int32(sourceRange.lowerBound)
        var result = self
        for row in spans.indices { result.spans[row].start -= offset }
        return result
    }

    private static func fixedPoint(_ weight: Double) -> Int32 {
        let scaled = weight * Double(1 << ImageResamplePrecisionBits)
        return Int32(weight < 0 ? scaled - 0.5 : scaled + 0.5)
    }
}

/// Which of an image's two axes is resampled first. Samples are rounded to 8 bits in between, so the order shows in the bits.
enum ResamplingOrder {
    /// Each row, then each column of the result.
    case rowsFirst
    /// Each column, then each row of the result.
    case columnsFirst

    /// Pillow's choice since version 13: columns first where the height is reduced by more than twice as many pixels as the
    /// width, which leaves less work for the slower pass along the rows. Pillow 12 always takes rows first.
    ///
    /// - Parameters:
    ///   - source: the whole image's size, whatever part of it is resized.
    ///   - size: what that part is resized to.
    init(from source: (width: Int, height: Int), to size: (width: Int, height: Int)) {
        let reduction = source.height - size.height
        self = reduction > 0 && reduction > 2 * (source.width - size.width) ? .columnsFirst : .rowsFirst
    }
}

extension RGBImage {
    /// Resizes with one of Pillow's antialiased filters, bit for bit as Pillow 13's `Image.resize((width, height), filter)`.
    public func resized(width: Int, height: Int, filter: ResamplingFilter = .bicubic) -> RGBImage {
        precondition(width > 0 && height > 0, "an image has at least one pixel")
        return resized(
            (Double(self.width), Double(self.height)), to: (width, height), keeping: (0..<width, 0..<height),
            orientation: .topLeft, filter: filter)
    }

    /// The columns and rows `kept` of this stored image turned to `orientation` and then resized to `size`.
    ///
    /// The picture fills the stored image's first `extent` columns and rows, of which the last may be fractions: a JPEG
    /// decoded at an eighth of its size has that rounded up, and its last pixels have less of the picture in them.
    ///
    /// Nothing else is computed. The image is not turned first, which for a photograph would cost about as much as the
    /// resizing: where the shown rows are stored columns, the pass along them runs along stored columns, and weights are
    /// mirrored where an axis is. Integer sums don't depend on their order, so the result stays exact.
    func resized(
        _ extent: (width: Double, height: Double), to size: (width: Int, height: Int),
        keeping kept: (columns: Range<Int>, rows: Range<Int>), orientation: Orientation,
        filter: ResamplingFilter = .bicubic
    ) -> RGBImage {
        let isTransposed = orientation.isTransposed
        let shown = isTransposed ? (width: height, height: width) : (width: width, height: height)
        let columns = ResamplingAxis(
            length: shown.width, extent: isTransposed ? extent.height : extent.width,
            isReflected: orientation.reflectsShownColumns, resizedLength: size.width, outputs: kept.columns,
            filter: filter)
        let rows = ResamplingAxis(
            length: shown.height, extent: isTransposed ? extent.width : extent.height,
            isReflected: orientation.reflectsShownRows, resizedLength: size.height, outputs: kept.rows, filter: filter)

        // What the second pass needs is all that the first one computes.
        let resamplesShownRowsFirst = ResamplingOrder(from: shown, to: size) == .rowsFirst
        guard isTransposed else {
            return resamplesShownRowsFirst
                ? resamplingRows(rows.sourceRange, with: columns).resamplingColumns(with: rows.fromSourceRange)
                : resamplingColumns(columns.sourceRange, with: rows).resamplingRows(with: columns.fromSourceRange)
        }
        let transposed =
            resamplesShownRowsFirst
            ? resamplingColumns(rows.sourceRange, with: columns).resamplingRows(with: rows.fromSourceRange)
            : resamplingRows(columns.sourceRange, with: rows).resamplingColumns(with: columns.fromSourceRange)
        return transposed.oriented(.leftTop)
    }

    /// The rows `rows`, all if nil, with each one resampled.
    private func resamplingRows(_ rows: Range<Int>? = nil, with axis: ResamplingAxis) -> RGBImage {
        let rows = rows ?? 0..<height
        return RGBImage(width: axis.spans.count, height: rows.count) { result in
            pixels.withUnsafeBufferPointer { source in
                image_resample_rows(
                    source.baseAddress! + rows.lowerBound * width * 3, width * 3, rows.count, axis.spans,
                    axis.spans.count, axis.weights, axis.stride, result.baseAddress)
            }
        }
    }

    /// The columns `columns`, all if nil, with each one resampled.
    private func resamplingColumns(_ columns: Range<Int>? = nil, with axis: ResamplingAxis) -> RGBImage {
        let columns = columns ?? 0..<width
        return RGBImage(width: columns.count, height: axis.spans.count) { result in
            pixels.withUnsafeBufferPointer { source in
                image_resample_columns(
                    source.baseAddress! + columns.lowerBound * 3, width * 3, columns.count * 3, axis.spans,
                    axis.spans.count, axis.weights, axis.stride, result.baseAddress)
            }
        }
    }
}
