#if canImport(Glibc)
    import Glibc
#endif

extension Tape {
    /// a + factor·b, of the same shape.
    public func sum(_ a: Variable, _ b: Variable, factor: Double = 1) -> Variable {
        result(a.shape) { y in
            for i in y.indices { y[i] = a.value[i] + factor * b.value[i] }
        } backward: { gradient in
            for i in gradient.indices {
                a.gradient[i] += gradient[i]
                b.gradient[i] += factor * gradient[i]
            }
        }
    }

    /// factor·x.
    public func scaled(_ x: Variable, by factor: Double) -> Variable { map(x) { (factor * $0, factor) } }

    /// x / (1 + exp(-x)).
    public func silu(_ x: Variable) -> Variable {
        map(x) { v in
            let s = 1 / (1 + exp(-v))
            return (v * s, s * (1 + v * (1 - s)))
        }
    }

    /// tanh(x).
    public func hyperbolicTangent(_ x: Variable) -> Variable {
        map(x) { v in
            let t = tanh(v)
            return (t, 1 - t * t)
        }
    }

    private func map(_ x: Variable, _ function: @escaping (Double) -> (value: Double, derivative: Double)) -> Variable {
        result(x.shape) { y in
            for i in y.indices { y[i] = function(x.value[i]).value }
        } backward: { gradient in
            for i in gradient.indices { x.gradient[i] += gradient[i] * function(x.value[i]).derivative }
        }
    }

    /// x·wᵀ + bias: `x` is [rows][inputs], `weight` [outputs][inputs], `bias` [outputs] or nil.
    public func linear(_ x: Variable, weight: Variable, bias: Variable?) -> Variable {
        let (rows, inputs, outputs) = (x.shape[0], x.shape[1], weight.shape[0])
        return result([rows, outputs]) { y in
            for r in 0..<rows {
                for o in 0..<outputs {
                    var sum = bias?.value[o] ?? 0
                    for i in 0..<inputs { sum += x.value[r * inputs + i] * weight.value[o * inputs + i] }
                    y[r * outputs + o] = sum
                }
            }
        } backward: { gradient in
            for r in 0..<rows {
                for o in 0..<outputs {
                    let g = gradient[r * outputs + o]
                    bias?.gradient[o] += g
                    for i in 0..<inputs {
                        x.gradient[r * inputs + i] += g * weight.value[o * inputs + i]
                        weight.gradient[o * inputs + i] += g * x.value[r * inputs + i]
                    }
                }
            }
        }
    }

    /// (x − mean) / √(variance + epsilon), mean and variance taken over each of the `groups` equal parts of an image.
    private func standardized(_ x: Variable, groups: Int, epsilon: Double) -> Variable {
        let size = x.value.count / groups
        let count = Double(size)
        var inverses = [Double](repeating: 0, count: groups)
        var normalized: [Double] = []
        return result(x.shape) { y in
            for g in 0..<groups {
                let range = (g * size)..<((g + 1) * size)
                let mean = range.reduce(0) { $0 + x.value[$1] } / count
                let variance = range.reduce(0) { $0 + (x.value[$1] - mean) * (x.value[$1] - mean) } / count
                inverses[g] = 1 / (variance + epsilon).squareRoot()
                for i in range { y[i] = (x.value[i] - mean) * inverses[g] }
            }
            normalized = y
        } backward: { gradient in
            for g in 0..<groups {
                let range = (g * size)..<((g + 1) * size)
                let mean = range.reduce(0) { $0 + gradient[$1] } / count
                let along = range.reduce(0) { $0 + gradient[$1] * normalized[$1] } / count
                for i in range { x.gradient[i] += inverses[g] * (gradient[i] - mean - normalized[i] * along) }
            }
        }
    }

    /// x·weight + bias along axis 1, `inner` numbers following each other under the same index of it.
    private func affine(_ x: Variable, weight: Variable, bias: Variable) -> Variable {
        let channels = weight.value.count
        let inner = x.shape[2...].reduce(1, *)
        return result(x.shape) { y in
            for i in y.indices {
                let c = i / inner % channels
                y[i] = x.value[i] * weight.value[c] + bias.value[c]
            }
        } backward: { gradient in
            for i in gradient.indices {
                let c = i / inner % channels
                x.gradient[i] += gradient[i] * weight.value[c]
                weight.gradient[c] += gradient[i] * x.value[i]
                bias.gradient[c] += gradient[i]
            }
        }
    }

    /// GroupNorm over 32 groups of channels with an affine transform.
    public func groupNorm(_ x: Variable, weight: Variable, bias: Variable, epsilon: Double) -> Variable {
        affine(standardized(x, groups: x.shape[0] * 32, epsilon: epsilon), weight: weight, bias: bias)
    }

    /// LayerNorm of each row of `x`, [rows][width], with an affine transform.
    public func layerNorm(_ x: Variable, weight: Variable, bias: Variable) -> Variable {
        affine(standardized(x, groups: x.shape[0], epsilon: 1e-5), weight: weight, bias: bias)
    }

    /// x·(1 + scale) + shift, `film` being [images][2·channels]: scales, then shifts.
    public func modulated(_ x: Variable, by film: Variable) -> Variable {
        let (channels, pixels) = (x.shape[1], x.shape[2] * x.shape[3])
        func place(_ i: Int) -> Int { i / pixels / channels * 2 * channels + i / pixels % channels }
        return result(x.shape) { y in
            for i in y.indices {
                y[i] = x.value[i] * (1 + film.value[place(i)]) + film.value[place(i) + channels]
            }
        } backward: { gradient in
            for i in gradient.indices {
                x.gradient[i] += gradient[i] * (1 + film.value[place(i)])
                film.gradient[place(i)] += gradient[i] * x.value[i]
                film.gradient[place(i) + channels] += gradient[i]
            }
        }
    }

    /// x + addend, `addend` being [images][channels].
    public func shifted(_ x: Variable, by addend: Variable) -> Variable {
        let pixels = x.shape[2] * x.shape[3]
        return result(x.shape) { y in
            for i in y.indices { y[i] = x.value[i] + addend.value[i / pixels] }
        } backward: { gradient in
            for i in gradient.indices {
                x.gradient[i] += gradient[i]
                addend.gradient[i / pixels] += gradient[i]
            }
        }
    }

    /// softmax(qᵀk/√d) applied to v for each head; `x` is [images][3·channels][side][side], head 0's q, k and v first.
    public func attention(_ x: Variable, heads: Int) -> Variable {
        let (images, channels, side) = (x.shape[0], x.shape[1] / 3, x.shape[2])
        let (tokens, d) = (side * side, channels / heads)
        let factor = 1 / Double(d).squareRoot()
        /// Where q, k or v (part 0, 1, 2) of channel i of an image's head starts.
        func start(_ unit: Int, _ part: Int, _ i: Int) -> Int { ((unit * 3 + part) * d + i) * tokens }
        /// Of one query, computed again on the way back: those of all queries are a matrix.
        func probabilities(_ unit: Int, _ q: Int) -> [Double] {
            var p = [Double](repeating: 0, count: tokens)
            for i in 0..<d {
                let query = factor * x.value[start(unit, 0, i) + q]
                for k in 0..<tokens { p[k] += query * x.value[start(unit, 1, i) + k] }
            }
            let greatest = p.max()!
            for k in 0..<tokens { p[k] = exp(p[k] - greatest) }
            let sum = p.reduce(0, +)
            for k in 0..<tokens { p[k] /= sum }
            return p
        }
        return result([images, channels, side, side]) { y in
            for unit in 0..<(images * heads) {
                for q in 0..<tokens {
                    let p = probabilities(unit, q)
                    for i in 0..<d {
                        for k in 0..<tokens { y[(unit * d + i) * tokens + q] += p[k] * x.value[start(unit, 2, i) + k] }
                    }
                }
            }
        } backward: { gradient in
            for unit in 0..<(images * heads) {
                for q in 0..<tokens {
                    let p = probabilities(unit, q)
                    var dp = [Double](repeating: 0, count: tokens)
                    for i in 0..<d {
                        let g = gradient[(unit * d + i) * tokens + q]
                        for k in 0..<tokens {
                            dp[k] += g * x.value[start(unit, 2, i) + k]
                            x.gradient[start(unit, 2, i) + k] += g * p[k]
                        }
                    }
                    let mean = (0..<tokens).reduce(0) { $0 + dp[$1] * p[$1] }
                    for k in 0..<tokens {
                        let ds = p[k] * (dp[k] - mean) * factor
                        for i in 0..<d {
                            x.gradient[start(unit, 0, i) + q] += ds * x.value[start(unit, 1, i) + k]
                            x.gradient[start(unit, 1, i) + k] += ds * x.value[start(unit, 0, i) + q]
                        }
                    }
                }
            }
        }
    }

    /// Adaptive average pooling of `x`, [images][channels][side][side], to [images][channels·size²].
    public func pooled(_ x: Variable, to size: Int) -> Variable {
        let (images, channels, side) = (x.shape[0], x.shape[1], x.shape[2])
        func window(_ i: Int) -> Range<Int> { (i * side / size)..<((i + 1) * side + size - 1) / size }
        func forEach(_ body: (_ output: Int, _ input: Int, _ weight: Double) -> Void) {
            for plane in 0..<(images * channels) {
                for y in 0..<size {
                    for xx in 0..<size {
                        let weight = 1 / Double(window(y).count * window(xx).count)
                        for row in window(y) {
                            for column in window(xx) {
                                body((plane * size + y) * size + xx, (plane * side + row) * side + column, weight)
                            }
                        }
                    }
                }
            }
        }
        return result([images, channels * size * size]) { y in
            forEach { y[$0] += $2 * x.value[$1] }
        } backward: { gradient in
            forEach { x.gradient[$1] += $2 * gradient[$0] }
        }
    }
}
