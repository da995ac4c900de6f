/// NumPy's array file format, version 1.0, for little-endian f32 matrices (numpy.lib.format).
package enum NumPyArray {
    /// The length of a header, which is the same for all matrices.
    package static let headerLength = 128

    /// The header of a [rows][columns] matrix in C order, `headerLength` bytes; the numbers follow it.
    package static func header(rows: Int, columns: Int) -> [UInt8] {
        let description = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
        var text = Array(description.utf8)
        let textLength = headerLength - 10
        precondition(text.count < textLength)
        text += [UInt8](repeating: UInt8(ascii: " "), count: textLength - text.count - 1)
        text.append(UInt8(ascii: "\n"))
        return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(textLength & 255), UInt8(textLength >> 8)] + text
    }

    /// Numbers as little-endian bytes.
    package static func bytes(_ values: [Float]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: values.count * 4)
        bytes.withUnsafeMutableBytes { target in
            for (i, value) in values.enumerated() {
                target.storeBytes(of: value.bitPattern.littleEndian, toByteOffset: 4 * i, as: UInt32.self)
            }
        }
        return bytes
    }
}
