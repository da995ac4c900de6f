import Foundation
import HTTPServer
import Synchronization
import TestBench

/// Something that handlers wait for and tests count.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var arrivals = 0
        var cancelled = 0
        var lastID = 0
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    var arrivals: Int { state.withLock { $0.arrivals } }
    var cancelled: Int { state.withLock { $0.cancelled } }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits until the gate opens or the task is cancelled; tells whether it opened.
    func pass() async -> Bool {
        let id = state.withLock {
            $0.arrivals += 1
            $0.lastID += 1
            return $0.lastID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock {
                    if $0.isOpen || Task.isCancelled { return true }
                    $0.waiting[id] = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            state.withLock {
                $0.cancelled += 1
                return $0.waiting.removeValue(forKey: id)
            }?.resume()
        }
        return !Task.isCancelled
    }
}

/// Runs a server for the time of `body`.
func withServer<Result>(
    _ configure: (inout ServerConfiguration) -> Void = { _ in }, maximumBodyBytes: Int = 32 << 20,
    handler: @escaping Handler = echo, admit: (@Sendable (RequestHead) -> Admission<Void>)? = nil,
    observe: @escaping @Sendable (ExchangeRecord) -> Void = { _ in },
    log: @escaping @Sendable (ServerMessage) -> Void = { _ in }, _ body: (Server) async throws -> Result
) async throws -> Result {
    var configuration = ServerConfiguration()
    configure(&configuration)
    let server = try Server(
        configuration: configuration, handler: handler,
        admit: admit ?? { _ in .accepted((), .memory(maximumBytes: maximumBodyBytes)) }, observe: observe, log: log)
    try server.start()
    do {
        let result = try await body(server)
        await server.stop()
        return result
    } catch {
        await server.stop()
        throw error
    }
}

/// Answers with the method, path, query and body it got.
@Sendable func echo(_ request: Request) async -> Response {
    let query = request.head.query.map { "\($0.name)=\($0.value ?? "nil")" }.joined(separator: "&")
    return .text(
        "\(request.head.method) \(request.head.path) \(query) \(String(decoding: request.bytes, as: UTF8.self))")
}

/// This process's descriptors that are sockets of that local port.
func descriptors(ofPort port: Int) -> Int {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return entries.compactMap { Int32($0) }.count { descriptor in
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        return status == 0 && address.sin_family == sa_family_t(AF_INET) && address.sin_port == UInt16(port).bigEndian
    }
}
