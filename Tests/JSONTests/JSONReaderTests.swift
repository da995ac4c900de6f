import TestFixtures
import Testing

@testable import JSON

@Suite("Strict JSON") struct StrictJSONTests {
    @Test(
        "is accepted",
        arguments: [
            #"{"a":[1,-2.5e+3,true,false,null,"\u00e9\ud83d\ude00\n"],"b":{}}"#, " [ ] ", "0", "-0.0", "\"\"",
        ])
    func accepted(document: String) throws {
        try JSONReader.check(Array(document.utf8))
    }

    @Test(
        "is what anything else isn't",
        arguments: [
            "", "{", "[1,]", "{\"a\":1,\"a\":1}", "[{\"a\":{\"b\":1,\"\\u0062\":2}}]", "01", "1.", "+1", ".5", "1e",
            "nul", "'a'", "[1] 2", "{a:1}", "\"\\x\"", "\"\\udc00\"", "\"\\ud800x\"", "-", "[1 2]",
            Named("17 levels", String(repeating: "[", count: 17) + String(repeating: "]", count: 17)),
            Named("a million brackets", String(repeating: "[", count: 1_000_000)),
        ] as [Named<String>])
    func refused(document: Named<String>) {
        #expect(throws: JSONError.self) { try JSONReader.check(Array(document.value.utf8)) }
    }
}

@Suite("A JSON document")
struct JSONDocumentTests {
    private func numbers(_ document: some Collection<UInt8>) throws -> [Int] {
        try JSONReader.read(document) { reader in
            var numbers: [Int] = []
            try reader.array { numbers.append(try $0.natural()) }
            return numbers
        }
    }

    @Test("may begin with a byte-order mark, and lie anywhere in memory")
    func mark() throws {
        #expect(try numbers([0xEF, 0xBB, 0xBF] + Array("[1, 2]".utf8)) == [1, 2])
        #expect(try numbers(Array("[1] [2]".utf8)[4...]) == [2])
        #expect(try numbers(AnyCollection(Array("[3]".utf8))) == [3])
    }

    @Test(
        "is UTF-8, is not empty, and ends where its value does",
        arguments: [
            ("", "empty"), ("[1] 2", "follows the end"), ("\0[", "UTF-16"), ("[\u{0}1", "UTF-16"),
        ])
    func refused(document: String, reason: String) {
        let error = #expect(throws: JSONError.self) { try numbers(Array(document.utf8)) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }

    @Test(
        "has integers with fractions of zeros and with exponents too",
        arguments: [
            ("2.0", 2), ("2.000", 2), ("1e3", 1000), ("1.5E1", 15), ("20e-1", 2), ("0.0", 0),
            ("9007199254740992.0", 1 << 53),
        ])
    func integers(text: String, value: Int) throws { #expect(try numbers(Array("[\(text)]".utf8)) == [value]) }

    @Test(
        "refuses what is no integer, or too large a one",
        arguments: [
            ("2.5", "[0] must be a whole number of at least 0; it is the number 2.5"),
            ("1e-1", "must be a whole number"),
            ("-1.0", "must be a whole number"), ("01.0", "must be a whole number"), ("2.", "expected a value"),
            ("2.0.0", "expected"), ("1e300", "[0] is too large a number"), ("1e999", "[0] is too large a number"),
            ("9007199254740994.0", "[0] is too large a number"),
        ])
    func noIntegers(text: String, reason: String) {
        let error = #expect(throws: JSONError.self) { try numbers(Array("[\(text)]".utf8)) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }

    @Test("tells where a value is of another type")
    func path() {
        let error = #expect(throws: JSONError.self) { try numbers(Array("[1, \"x\"]".utf8)) }
        #expect(error?.description == "[1] must be a whole number of at least 0; it is a string")
    }
}

@Suite("Values as JSON")
struct JSONCoderTests {
    private struct Value: Codable, Equatable {
        var name = "a/b"
        var count = 2
        var rate: Double? = 0.5
    }

    @Test("are the same bytes every time, by name and without needless escapes")
    func bytes() throws {
        #expect(try JSONCoder.text(Value()) == #"{"count":2,"name":"a/b","rate":0.5}"#)
        #expect(try JSONCoder.text(Value(rate: nil), indented: true) == "{\n  \"count\" : 2,\n  \"name\" : \"a/b\"\n}")
        #expect(try JSONCoder.decode(Value.self, from: JSONCoder.encode(Value())) == Value())
        #expect(throws: JSONError.self) { try JSONCoder.encode(Value(rate: .infinity)) }
    }

    @Test(
        "that aren't of the type say what is wrong and where",
        arguments: [
            (#"{"count":1}"#, "name is missing"), (#"{"count":1,"name":null}"#, "name is null"),
            (#"{"count":"1","name":""}"#, "count is not of type Int"), (#"{"count":1.5,"name":""}"#, "has a fraction"),
            (#"{"count":1,"count":2,"name":""}"#, "twice"), ("[", "expected a value"),
        ])
    func refused(document: String, reason: String) {
        let error = #expect(throws: JSONError.self) { try JSONCoder.decode(Value.self, from: document.utf8) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }
}
