import Testing

@testable import HTTPServer

@Suite("The addresses of a host")
struct ListeningTests {
    /// Listens on the first of the addresses, says on which, and stops.
    private func host(_ addresses: [String], port: Int) throws -> String {
        var found: [SocketAddress] = []
        for address in addresses { found += try SocketAddress.resolve(host: address, service: "\(port)") }
        let socket = try ListeningSocket(firstOf: found, ServerConfiguration())
        defer { socket.close() }
        guard case .internet(let host, _) = socket.address else { return "" }
        return host
    }

    @Test("One that the machine lacks is passed over; one in use is not, as clients would find either service")
    func several() throws {
        let first = try ListeningSocket(ServerConfiguration())
        defer { first.close() }
        #expect(try host(["192.0.2.1", "127.0.0.1"], port: 0) == "127.0.0.1")
        // Every address of 127.0.0.0/8 is this machine's, as ::1 may be too.
        #expect(try host(["127.0.0.2"], port: first.address.port) == "127.0.0.2")
        let refusal = #expect(throws: ServerError.self) {
            try host(["127.0.0.1", "127.0.0.2"], port: first.address.port)
        }
        #expect(refusal?.description.contains("in use by another process") == true, "\(String(describing: refusal))")
    }
}
