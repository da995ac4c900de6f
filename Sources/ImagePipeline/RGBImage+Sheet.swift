extension RGBImage {
    /// Pictures of one size in rows, from left to right and from the top, with white lines of `spacing` pixels between them.
    /// What the last row lacks is white.
    ///
    /// - Parameters:
    ///   - pictures: at least one.
    ///   - columns: pictures in a row, at least 1; if there are fewer pictures, the sheet has only as many columns.
    public static func sheet(of pictures: [RGBImage], columns: Int, spacing: Int = 2) -> RGBImage {
        let (width, height) = (pictures[0].width, pictures[0].height)
        precondition(columns > 0 && pictures.allSatisfy { $0.width == width && $0.height == height })
        let size = sheetSize(of: pictures.count, width: width, height: height, columns: columns, spacing: spacing)
        let columns = min(columns, pictures.count)
        return RGBImage(width: size.width, height: size.height) { pixels in
            pixels.update(repeating: 255)
            for (index, picture) in pictures.enumerated() {
                let (row, column) = index.quotientAndRemainder(dividingBy: columns)
                let (top, left) = (row * (height + spacing), column * (width + spacing))
                for y in 0..<height {
                    let start = 3 * ((top + y) * size.width + left)
                    _ = pixels[start..<start + 3 * width].update(
                        fromContentsOf: picture.pixels[3 * y * width..<3 * (y + 1) * width])
                }
            }
        }
    }

    /// The pixels of such a sheet of `count` pictures.
    public static func sheetSize(
        of count: Int, width: Int, height: Int, columns: Int, spacing: Int = 2
    ) -> (width: Int, height: Int) {
        let columns = min(columns, count)
        let rows = (count + columns - 1) / columns
        return (columns * (width + spacing) - spacing, rows * (height + spacing) - spacing)
    }
}

extension Int {
    /// The columns with which a sheet of so many pictures is as wide as it is high, or a little wider.
    public var columnsOfSheet: Int { (1...Swift.max(self, 1)).first { $0 * $0 >= self } ?? 1 }
}
