import Foundation
import HTTPServer
import Synchronization
import TestBench
import TestFixtures
import Testing

/// Whether the long forms of the scenarios run, which take minutes: HEADWATER_SCENARIOS is `long`.
let isLong = ProcessInfo.processInfo.environment["HEADWATER_SCENARIOS"] == "long"

/// `headwater serve` in a process of its own, on free ports.
struct RunningService: Sendable {
    let run: BuiltProgram.Run
    let log: ServiceLog
    /// The public listener.
    let client: PortClient
    /// The admin listener.
    let admin: PortClient

    enum Failure: Error { case notReady(String), noNumber(String) }

    /// Runs the service for the time of `body`; whatever happens, no process is left. If it still serves then, it is asked to
    /// stop and must exit 0.
    static func serve<Value>(
        _ arguments: [String], _ body: (RunningService) async throws -> Value
    ) async throws -> Value {
        let service = try await start(arguments)
        do {
            let value = try await body(service)
            if !service.run.hasEnded {
                service.run.signal(SIGTERM)
                #expect(await service.end() == .exited(status: 0), "\(service.log.lines.suffix(3))")
            }
            return value
        } catch {
            service.run.signal(SIGKILL)
            await service.run.wait()
            throw error
        }
    }

    /// Starts the service; the caller ends it.
    static func start(_ arguments: [String], keepingRequests: Bool = false) async throws -> RunningService {
        let ports = ["--port", "0", "--admin-port", "0", "--log-format", "json"]
        let (run, errors) = try BuiltProgram.start(["serve"] + ports + arguments)
        let log = ServiceLog(reading: errors, keepingRequests: keepingRequests)
        _ = await eventually { log.line("ready") != nil || run.hasEnded }
        guard let ready = log.line("ready"), let url = ready["url"] as? String,
            let port = url.split(separator: ":").last.flatMap({ Int($0) }), let adminPort = ready["admin_port"] as? Int
        else {
            run.signal(SIGKILL)
            await run.wait()
            throw Failure.notReady(log.lines.suffix(5).joined(separator: "\n"))
        }
        return RunningService(
            run: run, log: log, client: PortClient(port: port), admin: PortClient(port: adminPort))
    }

    /// Waits for the process's end, which a hanging one is killed for after half a minute.
    func end() async -> BuiltProgram.Ending {
        if await !eventually({ run.hasEnded }) { run.signal(SIGKILL) }
        return await run.wait()
    }

    // MARK: What is known of the process

    /// Open descriptors.
    func descriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(run.processID)/fd").count
    }

    /// A size of `/proc/PID/status` in KiB, such as `VmRSS` (resident now) or `VmHWM` (the most ever).
    func kibibytes(_ name: String) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(run.processID)/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }),
            let value = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
        else { throw Failure.noNumber(name) }
        return value
    }

    /// Resident memory in KiB, once it has not changed for two seconds: what has been freed is given back after one.
    func settledMemory() async throws -> Int {
        var (last, since) = (0, ContinuousClock.now)
        _ = try await eventually {
            let now = try kibibytes("VmRSS")
            if now != last { (last, since) = (now, ContinuousClock.now) }
            return since.duration(to: .now) > .seconds(2)
        }
        return last
    }

    /// A series of `/metrics`, named with its labels as there.
    func metric(_ name: String) async throws -> Double {
        let text = try await admin.ask("GET", "/metrics").text
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name + " ") }),
            let value = Double(line.dropFirst(name.count + 1))
        else { throw Failure.noNumber(name) }
        return value
    }

    /// Images that wait or are in flight.
    func images() async throws -> Double {
        try await metric("headwater_images_waiting") + metric("headwater_images_in_flight")
    }

    /// Waits until nothing is in flight and no more descriptors are open than that.
    func settles(descriptors count: Int) async throws -> Bool {
        let isIdle = try await eventually { try await images() == 0 }
        guard isIdle else { return false }
        return try await eventually { try descriptors() <= count }
    }
}

/// What the service wrote to standard error; the lines of requests, of which there may be very many, only if asked for.
final class ServiceLog: Sendable {
    private let collected = Mutex<[String]>([])

    /// Reads to the end on a thread of its own, so that the service is never held up.
    init(reading pipe: FileHandle, keepingRequests: Bool = false) {
        Thread { [self] in
            var rest: [UInt8] = []
            while case let data = pipe.availableData, !data.isEmpty {
                rest += data
                var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                rest = Array(lines.removeLast())
                let kept = lines.map { String(decoding: $0, as: UTF8.self) }.filter {
                    keepingRequests || !$0.contains(#""message":"request""#)
                }
                collected.withLock { $0 += kept }
            }
        }.start()
    }

    var lines: [String] { collected.withLock { $0 } }

    /// The fields of the first line of that message.
    func line(_ message: String) -> [String: Any]? {
        lines.lazy
            .compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
            .first { $0["message"] as? String == message }
    }
}

/// Asks a port of this machine.
struct PortClient: Sendable {
    let port: Int

    /// A request's bytes.
    static func request(
        _ method: String, _ target: String, headers: [String: String] = [:], body: [UInt8] = []
    ) -> [UInt8] {
        let fields = headers.map { "\($0.key): \($0.value)\r\n" }.joined()
        let length = body.isEmpty && method == "GET" ? "" : "Content-Length: \(body.count)\r\n"
        return Array("\(method) \(target) HTTP/1.1\r\nHost: h\r\n\(length)\(fields)\r\n".utf8) + body
    }

    /// A request on a connection of its own, and its response.
    func ask(
        _ method: String, _ target: String, headers: [String: String] = [:], body: [UInt8] = []
    ) async throws -> ReceivedResponse {
        try await send(Self.request(method, target, headers: headers, body: body))
    }

    /// Sends bytes on a connection of their own and reads one response.
    func send(_ bytes: [UInt8]) async throws -> ReceivedResponse {
        let port = port
        return try await offPool {
            let client = try RawClient(port: port)
            client.send(bytes)
            return try client.response()
        }
    }

    /// As `ask` with a JSON body.
    func askJSON(_ method: String, _ target: String, _ text: String) async throws -> ReceivedResponse {
        try await ask(method, target, headers: ["Content-Type": "application/json"], body: Array(text.utf8))
    }

    /// Sends bytes, perhaps says that there are no more, and tells all that comes until the server closes.
    func converse(_ bytes: [UInt8], halfClosing: Bool = false) async throws -> String {
        let port = port
        return try await offPool {
            let client = try RawClient(port: port)
            client.send(bytes)
            if halfClosing { client.halfClose() }
            return String(decoding: client.readToEnd(), as: UTF8.self)
        }
    }
}

extension ReceivedResponse {
    /// The body as a JSON object.
    func json() throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any], "\(text)")
    }

    /// What an answer with features says, up to the timings, which differ from one to the next.
    var features: Substring {
        let text = self.text[...]
        return text.firstRange(of: #","timings":"#).map { text[..<$0.lowerBound] } ?? text
    }

    /// The `code` of a problem document.
    var code: String? { try? json()["code"] as? String }

    /// The version that the answer names.
    var version: String? { try? (json()["model"] as? [String: Any])?["version"] as? String }
}

/// An image that any test may post.
let sampleImage = try! TestFixtures.bytes("images/rgb-32x32.jpg")
