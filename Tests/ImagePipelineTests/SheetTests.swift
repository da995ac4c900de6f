import ImagePipeline
import Testing

@Suite("A sheet of pictures")
struct SheetTests {
    private func picture(_ level: UInt8) -> RGBImage {
        RGBImage(width: 2, height: 1, pixels: [UInt8](repeating: level, count: 6))
    }

    @Test("has pictures in rows, with white between them and where none are left")
    func rows() {
        let sheet = RGBImage.sheet(of: [picture(1), picture(2), picture(3)], columns: 2, spacing: 1)
        #expect(sheet.width == 5 && sheet.height == 3)
        let reds = stride(from: 0, to: sheet.pixels.count, by: 3).map { sheet.pixels[$0] }
        #expect(reds == [1, 1, 255, 2, 2] + [UInt8](repeating: 255, count: 5) + [3, 3, 255, 255, 255])
    }

    @Test("is no wider than its pictures, and about square if nothing else is asked for")
    func columns() {
        #expect(RGBImage.sheet(of: [picture(7)], columns: 9) == picture(7))
        #expect([1, 2, 4, 5, 16, 64, 65].map(\.columnsOfSheet) == [1, 2, 2, 3, 4, 8, 9])
    }
}
