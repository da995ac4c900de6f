import Console
import Dispatch
import Files
import FoundationEssentials
import Glibc
import JSON
import Synchronization

/// A `headwater serve` of this very program in a process of its own, on free ports of 127.0.0.1.
final class ServiceProcess: Sendable {
    /// The port of its public listener.
    let port: UInt16
    private let process: pid_t
    private let isRunning = Atomic<Bool>(true)

    /// The members of a log line that matter here.
    private struct LogLine: Decodable {
        let message: String
        let url: String?
    }

    /// Starts a service with further arguments and waits until it is ready. It takes none of this process's
    /// `HEADWATER_` variables, which could change what is measured.
    ///
    /// - Throws: `CommandFailure` with what the service said last if it ends instead.
    init(arguments: [String]) throws {
        var pipe: [Int32] = [0, 0]
        guard Glibc.pipe(&pipe) == 0 else { throw Self.failure("pipe", errno) }
        for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let ready = ["serve", "--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--log-format", "json"]
        do {
            defer { close(pipe[1]) }
            process = try Self.spawn(["headwater"] + ready + arguments, errors: pipe[1])
        } catch {
            close(pipe[0])
            throw error
        }
        var log = LogReader(FileDescriptor(pipe[0]))
        var said = ""
        while let line = log.next() {
            let decoded = try? JSONCoder.decode(LogLine.self, from: line)
            if decoded?.message == "ready", let port = decoded?.url?.split(separator: ":").last.flatMap({ UInt16($0) })
            {
                self.port = port
                log.drop()
                return
            }
            said = String(decoding: line, as: UTF8.self)
        }
        close(pipe[0])
        _ = Self.wait(process)
        throw CommandFailure(.unavailable, "the measured service did not start: \(said)")
    }

    deinit {
        guard isRunning.exchange(false, ordering: .relaxed) else { return }
        kill(process, SIGKILL)
        _ = Self.wait(process)
    }

    /// Lets it finish what is in flight, and waits for its end.
    func stop() {
        guard isRunning.exchange(false, ordering: .relaxed) else { return }
        kill(process, SIGTERM)
        _ = Self.wait(process)
    }

    /// Processor seconds that the service has used, by /proc/PID/stat; 0 if that can't be read.
    var processorSeconds: Double {
        let stat = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        // Behind the program's name, which may hold spaces: state is field 3, utime 14, stime 15 (proc(5)).
        let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func spawn(_ arguments: [String], errors: Int32) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        let environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("HEADWATER_") }
            .map { "\($0.key)=\($0.value)" }
        var process = pid_t()
        let status = withCStrings(arguments) { arguments in
            withCStrings(environment) { environment in
                // The program that runs, even if its file has been replaced meanwhile.
                posix_spawn(&process, "/proc/self/exe", &actions, nil, arguments, environment)
            }
        }
        guard status == 0 else { throw failure("posix_spawn", status) }
        return process
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return body(copies)
    }

    private static func wait(_ process: pid_t) -> Int32 {
        var status: Int32 = 0
        _ = uninterrupted { waitpid(process, &status, 0) }
        return status
    }

    private static func failure(_ call: String, _ number: Int32) -> CommandFailure {
        CommandFailure(.unavailable, "no service can be started: \(call): \(String(cString: strerror(number)))")
    }
}

/// Reads a pipe's lines.
private struct LogReader {
    let descriptor: FileDescriptor
    private var pending: [UInt8] = []

    init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

    /// The next line; nil at the end.
    mutating func next() -> [UInt8]? {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                defer { pending.removeSubrange(...end) }
                return Array(pending[..<end])
            }
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
            defer { buffer.deallocate() }
            guard let count = try? descriptor.readSome(into: buffer), count > 0 else { return nil }
            pending += buffer[..<count]
        }
    }

    /// Reads the rest of the pipe and drops it, as a log collector would: a full pipe would block the service.
    func drop() {
        let descriptor = descriptor
        DispatchQueue(label: "headwater.bench.log").async {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 1)
            defer {
                buffer.deallocate()
                descriptor.close()
            }
            while let count = try? descriptor.readSome(into: buffer), count > 0 {}
        }
    }
}
