/// Writes JSON (RFC 8259) straight into bytes. Foundation's encoder builds a tree of boxed values first, which for an
/// embedding of 768 numbers takes longer than everything else that the HTTP side does.
///
/// Numbers are written in the shortest form that reads back as the same value. JSON has none for infinity and NaN.
package struct JSONWriter: Sendable {
    /// The document so far.
    package private(set) var bytes: [UInt8] = []

    /// A number that JSON can't express reached the writer.
    package struct NonFiniteNumber: Error, Equatable {
        package init() {}
    }

    /// An empty document with room for `capacity` bytes.
    package init(capacity: Int = 512) { bytes.reserveCapacity(capacity) }

    // MARK: Structure

    /// Writes an object; `members` writes its members.
    ///
    /// - Parameter name: the name if the object is a member itself.
    package mutating func object(_ name: StaticString? = nil, _ members: (inout JSONWriter) throws -> Void) rethrows {
        if let name { key(name) }
        separate()
        bytes.append(UInt8(ascii: "{"))
        try members(&self)
        bytes.append(UInt8(ascii: "}"))
    }

    /// Writes an array of what `element` writes for each of `elements`.
    ///
    /// - Parameter name: the name if the array is a member.
    package mutating func array<Elements: Sequence>(
        _ name: StaticString? = nil, of elements: Elements,
        _ element: (inout JSONWriter, Elements.Element) throws -> Void
    ) rethrows {
        if let name { key(name) }
        separate()
        bytes.append(UInt8(ascii: "["))
        for each in elements { try element(&self, each) }
        bytes.append(UInt8(ascii: "]"))
    }

    /// Writes a member whose value `value` writes.
    package mutating func member(_ name: StaticString, _ value: (inout JSONWriter) throws -> Void) rethrows {
        key(name)
        try value(&self)
    }

    /// Writes a member whose name isn't a constant and whose value `value` writes.
    package mutating func member(named name: String, _ value: (inout JSONWriter) throws -> Void) rethrows {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        try value(&self)
    }

    /// Writes a member that is a string.
    package mutating func member(_ name: StaticString, _ value: String) {
        key(name)
        string(value)
    }

    /// Writes a member that is an integer.
    package mutating func member(_ name: StaticString, _ value: Int) {
        key(name)
        integer(value)
    }

    /// Writes a member that is true or false.
    package mutating func member(_ name: StaticString, _ value: Bool) {
        key(name)
        raw(value ? "true" : "false")
    }

    /// Writes a member that is an array of integers, such as a shape.
    package mutating func member(_ name: StaticString, _ values: [Int]) {
        array(name, of: values) { $0.integer($1) }
    }

    /// Writes a member that is an array of strings.
    package mutating func member(_ name: StaticString, _ values: [String]) {
        array(name, of: values) { $0.string($1) }
    }

    /// Writes a member that is null.
    package mutating func null(_ name: StaticString) {
        key(name)
        raw("null")
    }

    /// Writes a member that is a number.
    package mutating func member(_ name: StaticString, _ value: Double) throws(NonFiniteNumber) {
        guard value.isFinite else { throw NonFiniteNumber() }
        key(name)
        raw(value.description)
    }

    /// Writes a member that is a number.
    package mutating func member(_ name: StaticString, _ value: Float) throws(NonFiniteNumber) {
        guard value.isFinite else { throw NonFiniteNumber() }
        key(name)
        raw(value.description)
    }

    // MARK: Values

    /// Writes an array of numbers.
    package mutating func numbers(_ values: [Float]) throws(NonFiniteNumber) {
        separate()
        bytes.append(UInt8(ascii: "["))
        bytes.reserveCapacity(bytes.count + 14 * values.count)
        for value in values {
            guard value.isFinite else { throw NonFiniteNumber() }
            // In one piece: character by character takes twice as long.
            var text = value.description
            text.withUTF8 { bytes.append(contentsOf: $0) }
            bytes.append(UInt8(ascii: ","))
        }
        if !values.isEmpty { bytes.removeLast() }
        bytes.append(UInt8(ascii: "]"))
    }

    /// Writes an array of numbers.
    package mutating func numbers(_ values: [Double]) throws {
        try array(of: values) { json, value in
            guard value.isFinite else { throw NonFiniteNumber() }
            json.raw(value.description)
        }
    }

    /// Writes a string of characters that need no escape, such as base64.
    package mutating func unescapedString(_ characters: [UInt8]) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes += characters
        bytes.append(UInt8(ascii: "\""))
    }

    /// Writes an integer.
    package mutating func integer(_ value: Int) { raw(value.description) }

    /// Writes a string.
    package mutating func string(_ value: String) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                bytes += "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func raw(_ token: String) {
        separate()
        bytes.append(contentsOf: token.utf8)
    }

    private mutating func key(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes += [UInt8(ascii: "\""), UInt8(ascii: ":")]
    }

    /// A value follows another one unless it is the first of its array or object or belongs to a name; the last byte
    /// tells which, since strings end in a quote.
    private mutating func separate() {
        guard let last = bytes.last else { return }
        switch last {
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"): break
        default: bytes.append(UInt8(ascii: ","))
        }
    }
}
