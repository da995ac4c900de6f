/// Where a window's tap falls in the image, or nowhere.
private struct Window {
    let side: Int
    let outputs: Int
    let taps: Int
    let stride: Int
    /// Rows above the image, and columns left of it, that windows may reach.
    let padding: Int

    init(side: Int, taps: Int, stride: Int, padding: Int) {
        self.side = side
        self.taps = taps
        self.stride = stride
        self.padding = padding
        outputs = (side + stride - 1) / stride
    }

    /// Calls `body` for every output row that tap (ky, kx) reads with the indices of its first output pixel and of the input
    /// pixel that this one reads, and the count of such pixels: the next reads the input `stride` pixels on.
    func forEachRow(_ ky: Int, _ kx: Int, _ body: (_ output: Int, _ input: Int, _ count: Int) -> Void) {
        let columns = reading(kx)
        for y in reading(ky) {
            let (to, from) = (y * outputs, (y * stride + ky - padding) * side + kx - padding)
            body(to + columns.lowerBound, from + columns.lowerBound * stride, columns.count)
        }
    }

    /// The output rows, or columns, whose input for the tap lies in the image.
    private func reading(_ tap: Int) -> Range<Int> {
        let offset = tap - padding
        let (first, last) = (max(0, (stride - 1 - offset) / stride), side - 1 - offset)
        return first..<max(first, last < 0 ? 0 : min(outputs, last / stride + 1))
    }
}

extension Tape {
    /// Convolution of `x`, [images][inputs][side][side], with an odd square kernel, padded by half of it
    /// above and on the left unless `padding` says by how much, and on the other sides as far as windows reach.
    /// - Parameters:
    ///   - weight: [outputs][inputs][taps][taps], or [outputs][inputs][1] for 1x1.
    ///   - bias: [outputs].
    public func convolution(_ x: Variable, weight: Variable, bias: Variable, stride: Int = 1, padding: Int? = nil)
        -> Variable
    {
        let (images, inputs, side) = (x.shape[0], x.shape[1], x.shape[2])
        let outputs = weight.shape[0]
        let taps = weight.shape[2]
        let window = Window(side: side, taps: taps, stride: stride, padding: padding ?? taps / 2)
        let (sources, targets) = (side * side, window.outputs * window.outputs)
        func forEachPlane(_ body: (_ n: Int, _ o: Int, _ i: Int, _ ky: Int, _ kx: Int, _ w: Int) -> Void) {
            for n in 0..<images {
                for o in 0..<outputs {
                    for i in 0..<inputs {
                        for tap in 0..<(taps * taps) {
                            body(n, o, i, tap / taps, tap % taps, (o * inputs + i) * taps * taps + tap)
                        }
                    }
                }
            }
        }
        return result([images, outputs, window.outputs, window.outputs]) { y in
            for n in 0..<images {
                for o in 0..<outputs {
                    for p in 0..<targets { y[(n * outputs + o) * targets + p] = bias.value[o] }
                }
            }
            y.withUnsafeMutableBufferPointer { y in
                x.value.withUnsafeBufferPointer { x in
                    forEachPlane { n, o, i, ky, kx, w in
                        let (to, from, factor) = (
                            (n * outputs + o) * targets, (n * inputs + i) * sources, weight.value[w]
                        )
                        window.forEachRow(ky, kx) { output, input, count in
                            // Pointers and wrapping arithmetic, which the compiler makes vectors of.
                            let (y, x) = (y.baseAddress! + to + output, x.baseAddress! + from + input)
                            for p in 0..<count { y[p] += factor * x[p &* stride] }
                        }
                    }
                }
            }
        } backward: { gradient in
            for n in 0..<images {
                for o in 0..<outputs {
                    for p in 0..<targets { bias.gradient[o] += gradient[(n * outputs + o) * targets + p] }
                }
            }
            x.gradient.withUnsafeMutableBufferPointer { dx in
                x.value.withUnsafeBufferPointer { x in
                    gradient.withUnsafeBufferPointer { dy in
                        forEachPlane { n, o, i, ky, kx, w in
                            let (to, from, factor) = (
                                (n * outputs + o) * targets, (n * inputs + i) * sources, weight.value[w]
                            )
                            var sum = 0.0
                            window.forEachRow(ky, kx) { output, input, count in
                                let dy = dy.baseAddress! + to + output
                                let (x, dx) = (x.baseAddress! + from + input, dx.baseAddress! + from + input)
                                for p in 0..<count { sum += dy[p] * x[p &* stride] }
                                for p in 0..<count { dx[p &* stride] += factor * dy[p] }
                            }
                            weight.gradient[w] += sum
                        }
                    }
                }
            }
        }
    }

    /// Every pixel of `x`, [images][channels][side][side], doubled in both directions.
    public func doubled(_ x: Variable) -> Variable {
        let side = x.shape[2]
        func source(_ i: Int) -> Int {
            let (plane, y, xx) = (i / (4 * side * side), i / (2 * side) % (2 * side), i % (2 * side))
            return (plane * side + y / 2) * side + xx / 2
        }
        return result([x.shape[0], x.shape[1], 2 * side, 2 * side]) { y in
            for i in y.indices { y[i] = x.value[source(i)] }
        } backward: { gradient in
            for i in gradient.indices { x.gradient[source(i)] += gradient[i] }
        }
    }

    /// The means of 2x2 pixels of `x`, [images][channels][side][side], `side` being even.
    public func halved(_ x: Variable) -> Variable {
        let half = x.shape[2] / 2
        func sources(_ i: Int) -> [Int] {
            let (plane, y, xx) = (i / (half * half), i / half % half, i % half)
            let first = (plane * 2 * half + 2 * y) * 2 * half + 2 * xx
            return [first, first + 1, first + 2 * half, first + 2 * half + 1]
        }
        return result([x.shape[0], x.shape[1], half, half]) { y in
            for i in y.indices { y[i] = sources(i).reduce(0) { $0 + x.value[$1] } / 4 }
        } backward: { gradient in
            for i in gradient.indices { for source in sources(i) { x.gradient[source] += gradient[i] / 4 } }
        }
    }

    /// `a` and `b`, [images][channels][side][side] each, joined on channels.
    public func concatenated(_ a: Variable, _ b: Variable) -> Variable {
        let images = a.shape[0]
        let (front, back) = (a.value.count / images, b.value.count / images)
        return result([images, a.shape[1] + b.shape[1], a.shape[2], a.shape[3]]) { y in
            for n in 0..<images {
                for i in 0..<front { y[n * (front + back) + i] = a.value[n * front + i] }
                for i in 0..<back { y[n * (front + back) + front + i] = b.value[n * back + i] }
            }
        } backward: { gradient in
            for n in 0..<images {
                for i in 0..<front { a.gradient[n * front + i] += gradient[n * (front + back) + i] }
                for i in 0..<back { b.gradient[n * back + i] += gradient[n * (front + back) + front + i] }
            }
        }
    }
}
