import FoundationEssentials
import UntrustedText

/// Values as JSON documents, by Foundation's coders: for settings, reports and records, which are small and have the shape of
/// a Swift type. What answers requests uses ``JSONReader`` and ``JSONWriter`` directly, which build no tree of values.
public enum JSONCoder {
    /// The document of a value: one line, or indented for people. Members are sorted by name, so that the same value gives the
    /// same bytes every time.
    ///
    /// - Throws: `JSONError` if a number is not finite.
    public static func encode(_ value: some Encodable, indented: Bool = false) throws(JSONError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if indented { encoder.outputFormatting.insert(.prettyPrinted) }
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw JSONError("a value can't be written as JSON: \(explanation(of: error))")
        }
    }

    /// The document of a value as text; see ``encode(_:indented:)``.
    public static func text(_ value: some Encodable, indented: Bool = false) throws(JSONError) -> String {
        String(decoding: try encode(value, indented: indented), as: UTF8.self)
    }

    /// Reads a value from a document that may be hostile.
    ///
    /// The document is checked by ``JSONReader`` first, because Foundation's decoder silently takes one of two members of the
    /// same name.
    ///
    /// - Parameter maximumDepth: how deep values may be nested.
    /// - Throws: `JSONError` that says what is wrong and where.
    public static func decode<Value: Decodable>(
        _ type: Value.Type, from document: some Sequence<UInt8>, maximumDepth: Int = 16
    ) throws -> Value {
        let document = Array(document)
        try JSONReader.check(document, maximumDepth: maximumDepth)
        do {
            return try JSONDecoder().decode(type, from: Data(document))
        } catch {
            throw JSONError(explanation(of: error))
        }
    }

    private static func explanation(of error: any Error) -> String {
        func place(_ path: [any CodingKey]) -> String {
            path.isEmpty ? "the document" : path.map(\.stringValue).joined(separator: ".")
        }
        return switch error {
        case DecodingError.keyNotFound(let key, let context): "\(place(context.codingPath + [key])) is missing"
        case DecodingError.valueNotFound(_, let context): "\(place(context.codingPath)) is null"
        case DecodingError.typeMismatch(let type, let context): "\(place(context.codingPath)) is not of type \(type)"
        case DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty:
            // The grammar has been checked already. What Foundation calls invalid JSON here, without a place, is a number that
            // its type can't hold.
            "a number in it is too large, or has a fraction where a whole number belongs"
        case DecodingError.dataCorrupted(let context):
            "\(place(context.codingPath)): \(quoted(context.debugDescription))"
        case EncodingError.invalidValue(_, let context):
            "\(place(context.codingPath)): \(quoted(context.debugDescription))"
        default: quoted("\(error)")
        }
    }
}
