import Foundation
import Synchronization
import TestFixtures
import UntrustedText

/// The program as it was built with these tests, or the one that the variable HEADWATER_PROGRAM names, run in processes
/// of its own. Foundation's Process crashes where more than about a thousand descriptors are open, as they are when the
/// suites run side by side; hence posix_spawn.
package struct BuiltProgram {
    /// How a process ended.
    package enum Ending: Sendable, Equatable {
        /// It exited.
        case exited(status: Int32)
        /// A signal ended it.
        case signalled(Int32)
    }

    /// What a run left.
    package struct Outcome: Sendable {
        /// How it ended.
        package let ending: Ending
        /// Its standard output.
        package let output: String
        /// Its standard error.
        package let errors: String

        /// The exit status; nil if a signal ended it.
        package var status: Int32? { if case .exited(let status) = ending { status } else { nil } }

        /// The lines of `output`, each a JSON document.
        package func decodedLines<Value: Decodable>(_ type: Value.Type) throws -> [Value] {
            try output.split(separator: "\n").map { try JSONDecoder().decode(type, from: Data($0.utf8)) }
        }
    }

    /// It could not be started.
    package struct StartFailure: Error { let code: Int32 }

    /// The program's file.
    package static let executable =
        ProcessInfo.processInfo.environment["HEADWATER_PROGRAM"]
        ?? Bundle.main.executableURL!.deletingLastPathComponent().appending(path: "headwater").path

    /// Runs it to its end; arguments are texts of bytes, which need not be UTF-8.
    ///
    /// - Parameter input: the file that is its standard input.
    package static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String = "/dev/null"
    ) async throws -> Outcome {
        let scratch = try Scratch()
        let (output, errors) = (scratch.path("output"), scratch.path("errors"))
        for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        let run = try Run(
            arguments, environment: environment, input: input,
            output: FileHandle(forWritingTo: URL(filePath: output)),
            errors: FileHandle(forWritingTo: URL(filePath: errors)))
        return Outcome(
            ending: await run.wait(), output: try String(contentsOfFile: output, encoding: .utf8),
            errors: try String(contentsOfFile: errors, encoding: .utf8))
    }

    /// Starts it with standard error to be read while it runs.
    ///
    /// - Parameter shell: commands that a shell runs first in the same process, such as `ulimit -v 200000`.
    package static func start(
        _ arguments: [String], environment: [String: String] = [:], after shell: String? = nil
    ) throws -> (run: Run, errors: FileHandle) {
        let pipe = Pipe()
        let run = try Run(
            arguments, after: shell, environment: environment, output: .nullDevice,
            errors: pipe.fileHandleForWriting)
        try pipe.fileHandleForWriting.close()
        return (run, pipe.fileHandleForReading)
    }

    /// Starts it on a terminal, which is its standard output and standard error.
    package static func start(_ arguments: [String], on terminal: PseudoTerminal) throws -> Run {
        let run = try Run(arguments, environment: [:], output: terminal.slave, errors: terminal.slave)
        try terminal.slave.close()
        return run
    }
}

extension BuiltProgram {
    /// A process under way.
    package final class Run: Sendable {
        /// Its number.
        package let processID: pid_t
        private let ending = Mutex<Ending?>(nil)
        private let end: AsyncStream<Void>

        fileprivate init(
            _ arguments: [String], after shell: String? = nil, environment: [String: String],
            input: String = "/dev/null", output: FileHandle,
            errors: FileHandle
        ) throws {
            let command = [BuiltProgram.executable] + arguments
            processID = try Self.spawn(
                shell.map { ["/bin/sh", "-c", "\($0) && exec \"$0\" \"$@\""] + command } ?? command,
                environment: environment.merging(Self.inherited) { $1 }.map { "\($0.key)=\($0.value)" },
                input: input, descriptors: [output.fileDescriptor, errors.fileDescriptor])
            let (end, continuation) = AsyncStream.makeStream(of: Void.self)
            self.end = end
            // Tests that crash leave no process: this shell kills it if its own input ends without a line.
            // Unsafe: a pointer; the thread below alone uses it.
            nonisolated(unsafe) let shell = popen("read -r line || kill -KILL \(processID)", "we")
            Thread { [self] in
                var information = siginfo_t()
                while waitid(P_PID, id_t(processID), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
                // Reaped under the lock, so that no signal goes to another process of the same number.
                ending.withLock { ending in
                    var status: Int32 = 0
                    waitpid(processID, &status, 0)
                    ending = status & 0x7F == 0 ? .exited(status: status >> 8 & 0xFF) : .signalled(status & 0x7F)
                }
                if let shell {
                    fputs("ended\n", shell)
                    pclose(shell)
                }
                continuation.finish()
            }.start()
        }

        /// Sends a signal; nothing happens if it has ended.
        package func signal(_ number: Int32) {
            ending.withLock { if $0 == nil { kill(processID, number) } }
        }

        /// Whether it has ended.
        package var hasEnded: Bool { ending.withLock { $0 != nil } }

        /// Waits for its end; the threads that run tests are not held up meanwhile. For one waiter.
        @discardableResult
        package func wait() async -> Ending {
            for await _ in end {}
            while true {
                if let ending = ending.withLock({ $0 }) { return ending }
                // Only if this task was cancelled, which ends the stream early.
                await Task.yield()
            }
        }

        /// What deploy/sanitize tells the sanitizers, which the program was built with as well, and deploy/rehearse-arm64 the emulator;
        /// nothing else is inherited.
        private static let inherited = ProcessInfo.processInfo.environment.filter {
            ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "QEMU_CPU"].contains($0.key)
        }

        private static func spawn(_ arguments: [String], environment: [String], input: String, descriptors: [Int32])
            throws -> pid_t
        {
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
            for (index, descriptor) in descriptors.enumerated() {
                posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(index + 1))
            }
            // Nothing of the tests' own, such as other tests' sockets, is to be kept open by it. Closing what has been
            // closed meanwhile is no error.
            for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
                if let descriptor = Int32(name), descriptor > 2 {
                    posix_spawn_file_actions_addclose(&actions, descriptor)
                }
            }
            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            // What the tests' process ignores or blocks is not inherited.
            var signals = sigset_t()
            sigfillset(&signals)
            posix_spawnattr_setsigdefault(&attributes, &signals)
            sigemptyset(&signals)
            posix_spawnattr_setsigmask(&attributes, &signals)
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
            let (argv, envp) = (arguments.map { strdup($0.systemPath) } + [nil], environment.map { strdup($0) } + [nil])
            defer { for string in argv + envp { free(string) } }
            var processID: pid_t = 0
            let code = posix_spawn(&processID, arguments[0], &actions, &attributes, argv, envp)
            guard code == 0 else { throw StartFailure(code: code) }
            return processID
        }
    }
}
