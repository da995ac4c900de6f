/// A piece of work of a request, in a trace.
package struct Span: Sendable, Equatable {
    /// Raw values are OpenTelemetry's.
    package enum Kind: Int, Sendable {
        /// A part of a request's work.
        case `internal` = 1
        /// The answer to a request from outside.
        case server = 2
    }

    /// The trace and the span's own id.
    package let context: TraceContext
    package let parent: Parent?
    /// Its kind of work, one of few.
    package let name: String
    package let kind: Kind
    /// When it began and ended, in nanoseconds since 1970.
    package let start: UInt64
    package let end: UInt64
    package let attributes: LogFields
    /// What failed in it; nil if nothing did.
    package let failure: String?

    /// The span that caused it.
    package struct Parent: Sendable, Equatable {
        package let context: TraceContext
        /// Whether it is another process's.
        package let isRemote: Bool

        package init(_ context: TraceContext, isRemote: Bool) {
            self.context = context
            self.isRemote = isRemote
        }
    }

    package init(
        _ name: String, _ context: TraceContext, parent: Parent?, kind: Kind = .internal, start: UInt64, end: UInt64,
        attributes: LogFields = [:], failure: String? = nil
    ) {
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind
        self.start = start
        self.end = max(start, end)
        self.attributes = attributes
        self.failure = failure
    }
}
