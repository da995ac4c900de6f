import CZlib

/// Compresses bodies as clients do.
package enum Compression: Int32, CaseIterable, Sendable {
    /// RFC 1951 with nothing around it, which some clients send as `deflate`.
    case bareDeflate = -15
    /// RFC 1950, which `deflate` means.
    case deflate = 15
    /// RFC 1952.
    case gzip = 31

    /// What `Content-Encoding` calls it.
    package var coding: String { self == .gzip ? "gzip" : "deflate" }

    /// The compressed bytes.
    package func compress(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        precondition(deflate_begin(&stream, rawValue) == Z_OK)
        defer { deflateEnd(&stream) }
        var bytes = bytes
        return bytes.withUnsafeMutableBufferPointer { input in
            [UInt8](unsafeUninitializedCapacity: Int(deflateBound(&stream, UInt(input.count)))) { output, count in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                precondition(CZlib.deflate(&stream, Z_FINISH) == Z_STREAM_END)
                count = output.count - Int(stream.avail_out)
            }
        }
    }
}
