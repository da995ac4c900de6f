import CMicroHTTPD

/// A response in libmicrohttpd's own form, made on another thread so that its event threads don't copy bodies.
struct PreparedResponse: Sendable {
    let status: Int
    let byteCount: Int
    private let bits: UInt

    /// - Returns: nil if memory is exhausted or libmicrohttpd refuses a header.
    init?(_ response: Response, closing: Bool) {
        status = response.status
        byteCount = response.body.count
        guard let created = response.body.withUnsafeBytes({ CMHDCreateResponse($0.baseAddress, $0.count) }) else {
            return nil
        }
        bits = UInt(bitPattern: created)
        var headers = response.headers
        if closing { headers["Connection"] = "close" }
        for field in headers.fields where CMHDAddHeader(created, field.name, field.value) == 0 {
            MHD_destroy_response(created)
            return nil
        }
    }

    /// Hands the response to the library, which owns it from then on. False closes the connection.
    func queue(on connection: OpaquePointer) -> Bool {
        let queued = CMHDQueueResponse(connection, UInt32(status), pointer) != 0
        MHD_destroy_response(pointer)
        return queued
    }

    /// Frees a response that is not going to be queued.
    func discard() { MHD_destroy_response(pointer) }

    private var pointer: OpaquePointer? { OpaquePointer(bitPattern: bits) }
}
