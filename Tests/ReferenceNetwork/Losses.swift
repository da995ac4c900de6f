#if canImport(Glibc)
    import Glibc
#endif

extension Tape {
    /// ½‖v − target‖² summed over channels, averaged over images and pixels; `v` is [images][channels][side][side].
    public func flowMatchingLoss(_ v: Variable, target: [Double]) -> Variable {
        let count = Double(v.value.count / v.shape[1])
        return result([1]) { y in
            for i in target.indices { y[0] += 0.5 * (v.value[i] - target[i]) * (v.value[i] - target[i]) / count }
        } backward: { gradient in
            for i in target.indices { v.gradient[i] += gradient[0] * (v.value[i] - target[i]) / count }
        }
    }

    /// Cross-entropy of `logits`, [images][classes], with labels smoothed towards the uniform distribution, averaged.
    public func crossEntropy(_ logits: Variable, labels: [Int], smoothing: Double) -> Variable {
        let (images, classes) = (logits.shape[0], logits.shape[1])
        func target(_ n: Int, _ c: Int) -> Double {
            smoothing / Double(classes) + (labels[n] == c ? 1 - smoothing : 0)
        }
        func logarithms(_ n: Int) -> [Double] {
            let row = Array(logits.value[(n * classes)..<((n + 1) * classes)])
            let greatest = row.max()!
            let sum = log(row.reduce(0) { $0 + exp($1 - greatest) }) + greatest
            return row.map { $0 - sum }
        }
        return result([1]) { y in
            for n in 0..<images {
                for (c, l) in logarithms(n).enumerated() { y[0] -= target(n, c) * l / Double(images) }
            }
        } backward: { gradient in
            for n in 0..<images {
                for (c, l) in logarithms(n).enumerated() {
                    logits.gradient[n * classes + c] += gradient[0] * (exp(l) - target(n, c)) / Double(images)
                }
            }
        }
    }
}
