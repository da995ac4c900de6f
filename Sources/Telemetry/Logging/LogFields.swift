package enum LogValue: Sendable, Equatable {
    /// Text; escaped on output, and cut at ``Logger/longestValue``.
    case string(String)
    /// A whole number, as `integer(_:)` makes it.
    case int64(Int64)
    /// A number; in JSON, one that isn't finite becomes a string.
    case number(Double)
    /// True or false.
    case boolean(Bool)
}

extension LogValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .int64(value) }
    package init(floatLiteral value: Double) { self = .number(value) }
    package init(booleanLiteral value: Bool) { self = .boolean(value) }

    /// A whole number of any width; one beyond 64 bits becomes text rather than another number.
    package static func integer(_ value: some BinaryInteger) -> LogValue {
        Int64(exactly: value).map(LogValue.int64) ?? .string(String(value))
    }

    /// A duration, in seconds.
    package static func seconds(_ duration: Duration) -> LogValue { .number(duration / .seconds(1)) }
}

/// Named values of a log line, in the order in which they were set.
///
/// A name is set once: setting it again replaces the value in place, so that a JSON line never repeats a key.
package struct LogFields: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    private(set) var pairs: [(name: String, value: LogValue)]

    package init(dictionaryLiteral elements: (String, LogValue)...) {
        pairs = []
        for (name, value) in elements { self[name] = value }
    }

    /// The field of this name; setting nil removes it.
    package subscript(name: String) -> LogValue? {
        get { pairs.first { $0.name == name }?.value }
        set {
            let index = pairs.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let value?): pairs[index].value = value
            case (let index?, nil): pairs.remove(at: index)
            case (nil, let value?): pairs.append((name, value))
            case (nil, nil): break
            }
        }
    }

    package static func == (left: LogFields, right: LogFields) -> Bool {
        left.pairs.elementsEqual(right.pairs) { $0 == $1 }
    }
}
