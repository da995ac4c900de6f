import API
import Glibc

/// A parser to be fuzzed: what it is fed, and what must hold whatever that is.
struct FuzzTarget: Sendable {
    /// How long one execution takes, by which the number of executions asked for is chosen.
    enum Kind: String {
        /// Some microseconds: a million executions at least.
        case parser
        /// Some milliseconds, pixels being computed: a hundred thousand at least.
        case decoder
    }

    let name: String
    let kind: Kind
    /// The longest input in bytes.
    let maximumLength: Int
    /// What is asserted beyond the absence of traps, sanitizer reports, hangs and large allocations.
    let promise: String
    /// Feeds the parser. What it throws is a refusal, which must explain itself: see `checkRefusal(_:)`.
    let run: @Sendable (inout FuzzInput) throws -> Void
}

/// Bytes that a fuzzer made up. Choices that a harness needs in addition to the parser's input are taken from the end, so
/// that a file among the seeds stays what it is.
struct FuzzInput {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    /// What has not been taken.
    var rest: [UInt8] { Array(bytes) }

    /// The last byte; 0 if there is none.
    mutating func byte() -> UInt8 { bytes.popLast() ?? 0 }

    /// The last bit of the last byte.
    mutating func bool() -> Bool { byte() & 1 == 1 }

    /// A number in `range`, of the last four bytes.
    mutating func integer(in range: ClosedRange<Int>) -> Int {
        let number = (0..<4).reduce(0) { number, _ in number << 8 | Int(byte()) }
        return range.lowerBound + number % (range.count)
    }

    /// One of `elements`.
    mutating func element<Element>(of elements: [Element]) -> Element { elements[integer(in: 0...elements.count - 1)] }

    /// What stands before the first `separator`, taken from the front with it; all if there is none.
    mutating func prefix(upTo separator: UInt8) -> [UInt8] {
        let end = bytes.firstIndex(of: separator) ?? bytes.endIndex
        defer { bytes = bytes[end...].dropFirst() }
        return Array(bytes[..<end])
    }
}

/// Ends the process if a promise is broken; the fuzzer keeps the input.
func require(_ condition: Bool, _ promise: @autoclosure () -> String) {
    guard condition else { fatalError("broken promise: \(promise())") }
}

/// Checks what a client or operator would be told: few words, and nothing that could command a terminal, break a log line
/// or make an answer much longer than its question.
func checkRefusal(_ error: any Error) {
    let text = explanation(of: error)
    require(!text.isEmpty, "a refusal says why")
    require(
        text.utf8.count <= 8192, "a refusal of \(text.utf8.count) bytes is no longer than 8192: \(text.prefix(200))")
    require(
        text.unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control },
        "a refusal has no control characters: \(text.debugDescription)")
}
