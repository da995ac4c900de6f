#if canImport(Glibc)
    import Glibc
#endif

/// `headwater health`: asks a service on this machine whether it is ready; the container's health check.
enum HealthCommand {
    private static let port = Option("port", short: "p", .port, default: 8080, help: "The service's port.")

    static let command = Command(
        name: "health", abstract: "ask a running service whether it is ready",
        discussion: "Asks GET /health/ready on 127.0.0.1. The exit status is 0 if it is ready, 1 if not.",
        options: [port.specification])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let port = try arguments[port]
        guard let status = statusLine(port: port) else {
            HeadwaterProgram.complain("nothing answers on port \(port)")
            return .negative
        }
        let isReady = status.hasPrefix("HTTP/1.1 200")
        print(isReady ? "ready" : "not ready: \(status)")
        return isReady ? .success : .negative
    }

    private static func statusLine(port: UInt16) -> String? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 3, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { return nil }
        let request = Array("GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, 0) == request.count else { return nil }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\r\n").first.map(String.init)
    }
}
