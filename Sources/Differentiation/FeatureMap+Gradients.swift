import CKernels
import Layers
import Tensor

extension FeatureMap {
    private var imageCount: Int { FeatureMap.dataCount(channels: channels, side: side) }

    /// Sets the first `batch` images to zero.
    func clear(batch: Int) {
        for n in 0..<batch { image(n).update(repeating: 0, count: imageCount) }
    }

    /// Sets the first `batch` images to those of another map of the same size.
    func copy(_ other: FeatureMap, batch: Int) {
        for n in 0..<batch { image(n).update(from: other.image(n), count: imageCount) }
    }

    /// Multiplies the first `batch` images by a factor.
    func scale(by factor: Float, batch: Int) {
        for n in 0..<batch { hw_axpby(image(n), image(n), 0, factor, imageCount) }
    }

    /// Adds the first `batch` images of another map of the same size.
    func add(_ other: FeatureMap, batch: Int, pool: WorkerPool) {
        pool.forEach(batch) { n in hw_axpy(image(n), other.image(n), 1, imageCount) }
    }

    /// Sets the first `batch` images to the gradient with respect to their numbers that follows from `gradients`,
    /// [batch][channels][divisions][divisions], by their means over cells: the transpose of `means(ofImage:divisions:)`.
    func spread(_ gradients: [Float], divisions: Int, batch: Int) {
        clear(batch: batch)
        let pixels = side * side
        var next = gradients.startIndex
        for n in 0..<batch {
            for channel in 0..<channels {
                let first = image(n) + channel / channelBlock * pixels * channelBlock + channel % channelBlock
                for y in 0..<divisions {
                    let rows = poolingWindow(y, of: divisions, side: side)
                    for x in 0..<divisions {
                        let columns = poolingWindow(x, of: divisions, side: side)
                        let value = gradients[next] / Float(rows.count * columns.count)
                        next += 1
                        for row in rows {
                            for column in columns { first[(row * side + column) * channelBlock] += value }
                        }
                    }
                }
            }
        }
    }
}
