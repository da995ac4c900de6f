public import Testing

/// A test's argument that is too long to be printed, which reports show by a name: a megabyte of brackets, a file's bytes.
///
/// Literals of text are their own names, so that only what is long has to be named.
public struct Named<Value: Sendable>: Sendable, CustomTestStringConvertible {
    /// What reports show.
    public let name: String
    /// The argument itself.
    public let value: Value

    /// The name.
    public var testDescription: String { name }

    /// Names a value.
    public init(_ name: String, _ value: Value) {
        self.name = name
        self.value = value
    }
}

extension Named: ExpressibleByUnicodeScalarLiteral, ExpressibleByExtendedGraphemeClusterLiteral,
    ExpressibleByStringLiteral
where Value == String {
    /// Names a text by itself.
    public init(stringLiteral value: String) { self.init(String(reflecting: value), value) }
}
