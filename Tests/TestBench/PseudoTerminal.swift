import Foundation

/// A terminal that a program under test writes to, and what it wrote.
package final class PseudoTerminal: Sendable {
    /// There is no terminal to be had.
    package struct Failure: Error { let code: Int32 }

    private let master: Int32
    /// The program's end.
    let slave: FileHandle

    /// Opens a terminal.
    package init() throws {
        var (master, descriptor): (Int32, Int32) = (-1, -1)
        guard openpty(&master, &descriptor, nil, nil, nil) == 0 else { throw Failure(code: errno) }
        for descriptor in [master, descriptor] { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        self.master = master
        slave = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    deinit { close(master) }

    /// What is written, as it comes, until the program has ended. To be called once; read on a thread of its own.
    package func output() -> AsyncStream<[UInt8]> {
        AsyncStream { continuation in
            Thread { [self] in
                var buffer = [UInt8](repeating: 0, count: 1 << 12)
                while true {
                    let count = read(master, &buffer, buffer.count)
                    if count < 0, errno == EINTR { continue }
                    // Of a terminal that nothing has open any more, reading fails.
                    guard count > 0 else { break }
                    continuation.yield(Array(buffer[..<count]))
                }
                continuation.finish()
            }.start()
        }
    }
}

/// What stands on a terminal after lines, carriage returns and erased lines; other control sequences aren't known.
package struct TerminalScreen: Sendable {
    /// From the top; the last is where the cursor is.
    package private(set) var lines = [""]
    private var everything = ""

    /// An empty screen.
    package init() {}

    /// Whether a text was ever written.
    package func hasShown(_ text: String) -> Bool { everything.contains(text) }

    /// Writes ASCII text, which must not end within a control sequence.
    package mutating func write(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        everything += text
        var column = 0
        var rest = text.replacingOccurrences(of: "\u{1B}[K", with: "\u{0}").unicodeScalars.map { Character($0) }[...]
        column = lines[lines.count - 1].count
        while let character = rest.popFirst() {
            var line = Array(lines[lines.count - 1])
            switch character {
            case "\r": column = 0
            case "\n":
                lines.append("")
                column = 0
                continue
            case "\u{0}": line.removeSubrange(min(column, line.count)...)
            default:
                if column < line.count { line[column] = character } else { line.append(character) }
                column += 1
            }
            lines[lines.count - 1] = String(line)
        }
    }
}
