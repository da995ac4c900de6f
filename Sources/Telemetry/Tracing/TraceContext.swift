/// Where a request stands in a distributed trace: W3C Trace Context, the `traceparent` header.
///
/// `00-<trace id: 32 hex>-<span id: 16 hex>-<flags: 2 hex>`, all hex lower-case.
package struct TraceContext: Sendable, Hashable {
    /// The first half of the 128-bit id of the whole trace; not both halves are zero.
    private let traceHigh: UInt64
    private let traceLow: UInt64
    /// The 64-bit id of this span, not zero.
    private let span: UInt64
    /// The flags that the specification defines: bit 0, sampled; bit 1, the trace id is random.
    let flags: UInt8

    private static let knownFlags: UInt8 = 0b11
    private static let isSampled: UInt8 = 0b01
    private static let isRandom: UInt8 = 0b10
}

extension TraceContext {
    /// The context of a `traceparent` header's value, or nil if it isn't valid, whereupon the specification has the
    /// receiver begin a new trace (``root()``).
    ///
    /// Version 00 must be exactly 55 characters. Of a later version the same 55 are read, and what may follow them
    /// after a hyphen is ignored; version ff is never valid. Surrounding white space is the HTTP layer's to remove.
    package init?(traceparent: String) {
        let characters = Array(traceparent.utf8.prefix(56))
        let hyphen = UInt8(ascii: "-")
        guard characters.count >= 55, characters[2] == hyphen, characters[35] == hyphen, characters[52] == hyphen,
            let version = Self.hexadecimal(characters[0..<2]), version != 0xFF,
            characters.count == 55 || (version > 0 && characters[55] == hyphen),
            let traceHigh = Self.hexadecimal(characters[3..<19]), let traceLow = Self.hexadecimal(characters[19..<35]),
            let span = Self.hexadecimal(characters[36..<52]), let flags = Self.hexadecimal(characters[53..<55]),
            traceHigh | traceLow != 0, span != 0
        else { return nil }
        self.init(traceHigh: traceHigh, traceLow: traceLow, span: span, flags: UInt8(flags) & Self.knownFlags)
    }

    /// A new trace with a first span.
    ///
    /// - Parameter sampler: decides whether the trace is recorded; nil if nothing here records any.
    package static func root(_ sampler: TraceSampler? = nil) -> TraceContext {
        let root = TraceContext(
            traceHigh: .random(in: 0 ... .max), traceLow: .random(in: 1 ... .max), span: .random(in: 1 ... .max),
            flags: isRandom)
        guard let sampler, sampler.records(root) else { return root }
        return TraceContext(
            traceHigh: root.traceHigh, traceLow: root.traceLow, span: root.span, flags: isRandom | isSampled)
    }

    /// Whether the trace is recorded.
    package var isSampled: Bool { flags & Self.isSampled != 0 }

    /// The part of the trace's id that is random in every trace, less than ``randomValues`` (W3C Trace Context, level 2).
    var randomness: UInt64 { traceLow & (Self.randomValues - 1) }

    /// How many values ``randomness`` has.
    static let randomValues: UInt64 = 1 << 56

    /// A new span of the same trace, to answer with and to hand on.
    package func child() -> TraceContext {
        TraceContext(traceHigh: traceHigh, traceLow: traceLow, span: .random(in: 1 ... .max), flags: flags)
    }

    /// The trace's id: 32 lower-case hexadecimal digits.
    package var traceID: String { traceHigh.padded(to: 16, radix: 16) + traceLow.padded(to: 16, radix: 16) }

    /// The span's id: 16 lower-case hexadecimal digits.
    package var spanID: String { span.padded(to: 16, radix: 16) }

    /// The header's value, in version 00.
    package var traceparent: String { "00-\(traceID)-\(spanID)-0\(String(flags, radix: 16))" }

    /// The number of lower-case digits only: `UInt64(_:radix:)` would take capitals and a sign.
    private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard digits.allSatisfy("0123456789abcdef".utf8.contains) else { return nil }
        return UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}

extension BinaryInteger {
    /// The number with zeros in front, so that it has at least `width` digits.
    func padded(to width: Int, radix: Int = 10) -> String {
        let digits = String(magnitude, radix: radix)
        return (self < 0 ? "-" : "") + String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
