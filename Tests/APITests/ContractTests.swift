import Foundation
import TestFixtures
import Testing

@testable import API

/// As much of YAML as `openapi.yaml` uses: block mappings and sequences, plain, quoted and folded scalars, `[]` and `{}`.
indirect enum YAML: Equatable {
    case scalar(String)
    case mapping([(key: String, value: YAML)])
    case sequence([YAML])

    struct SyntaxError: Error { let line: Int }

    init(_ text: String) throws {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: true).enumerated()
            .map { Line(number: $0.offset + 1, indentation: $0.element.prefix { $0 == " " }.count, text: $0.element) }[
                ...]
        self = try Self.node(&lines, indentation: 0)
        if let rest = lines.first { throw SyntaxError(line: rest.number) }
    }

    static func == (left: YAML, right: YAML) -> Bool {
        switch (left, right) {
        case (.scalar(let a), .scalar(let b)): a == b
        case (.sequence(let a), .sequence(let b)): a == b
        case (.mapping(let a), .mapping(let b)): a.elementsEqual(b) { $0.key == $1.key && $0.value == $1.value }
        default: false
        }
    }

    subscript(key: String) -> YAML? {
        guard case .mapping(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    var keys: [String] {
        guard case .mapping(let members) = self else { return [] }
        return members.map(\.key)
    }

    var items: [YAML] {
        guard case .sequence(let items) = self else { return [] }
        return items
    }

    var text: String? {
        guard case .scalar(let text) = self else { return nil }
        return text
    }

    private struct Line {
        let number: Int
        var indentation: Int
        var text: Substring

        var content: Substring { text.drop { $0 == " " } }
    }

    private static func node(_ lines: inout ArraySlice<Line>, indentation: Int) throws -> YAML {
        guard let first = lines.first else { return .scalar("") }
        return first.content.hasPrefix("- ") || first.content == "-"
            ? try sequence(&lines, indentation: indentation) : try mapping(&lines, indentation: indentation)
    }

    private static func sequence(_ lines: inout ArraySlice<Line>, indentation: Int) throws -> YAML {
        var items: [YAML] = []
        while let line = lines.first, line.indentation == indentation, line.content.hasPrefix("- ") {
            let item = line.content.dropFirst(2)
            guard key(of: item) != nil else {
                lines.removeFirst()
                items.append(try scalar(item, line))
                continue
            }
            // A mapping that begins after the hyphen: the hyphen counts as indentation.
            lines[lines.startIndex].indentation += 2
            lines[lines.startIndex].text = item
            items.append(try mapping(&lines, indentation: indentation + 2))
        }
        return .sequence(items)
    }

    private static func mapping(_ lines: inout ArraySlice<Line>, indentation: Int) throws -> YAML {
        var members: [(key: String, value: YAML)] = []
        while let line = lines.first, line.indentation == indentation, !line.content.hasPrefix("- ") {
            guard let (key, rest) = key(of: line.content), !members.contains(where: { $0.key == key }) else {
                throw SyntaxError(line: line.number)
            }
            lines.removeFirst()
            if rest == ">-" {
                let folded = lines.prefix { $0.indentation > indentation }
                lines = lines.dropFirst(folded.count)
                members.append((key, .scalar(folded.map { String($0.content) }.joined(separator: " "))))
            } else if rest.isEmpty {
                guard let next = lines.first, next.indentation > indentation else {
                    throw SyntaxError(line: line.number)
                }
                members.append((key, try node(&lines, indentation: next.indentation)))
            } else {
                members.append((key, try scalar(rest, line)))
            }
        }
        return .mapping(members)
    }

    /// `key: rest`, the key perhaps quoted; nil for what is no member.
    private static func key(of text: Substring) -> (String, Substring)? {
        if text.hasSuffix(":"), !text.dropLast().contains(": ") { return (unquoted(text.dropLast()), "") }
        guard !text.hasPrefix("{"), let colon = text.firstRange(of: ": ") else { return nil }
        return (unquoted(text[..<colon.lowerBound]), text[colon.upperBound...])
    }

    private static func scalar(_ text: Substring, _ line: Line) throws -> YAML {
        if text == "[]" { return .sequence([]) }
        if text == "{}" { return .mapping([]) }
        // Other flow collections, anchors and comments are more than this reads.
        let isPlain = !"[{&*#|>".contains(text.first ?? " ") && !text.contains(": ") && !text.contains(" #")
        guard text.hasPrefix("\"") || isPlain else { throw SyntaxError(line: line.number) }
        return .scalar(unquoted(text))
    }

    private static func unquoted(_ text: Substring) -> String {
        text.hasPrefix("\"") && text.hasSuffix("\"") ? String(text.dropFirst().dropLast()) : String(text)
    }
}

/// What the tables of endpoints and the contract have to agree on, of one operation.
struct DescribedOperation: Equatable, Sendable {
    let method: String
    let path: String
    let name: String
    var statuses: Set<Int>
    /// The media types of errors.
    let errorTypes: Set<String>
    let parameters: Set<String>
    let pathParameters: Set<String>
    /// The media types of bodies.
    let bodyTypes: Set<String>
    let isOpen: Bool

    init<API>(_ endpoint: Endpoint<API>) {
        method = endpoint.method
        path = endpoint.path
        name = endpoint.name
        statuses = endpoint.statuses.union(transportStatuses)
        errorTypes = [endpoint.errors.mediaType]
        parameters = Set(endpoint.parameters)
        pathParameters = Set(PathTemplate(endpoint.path).parameters)
        bodyTypes = Set(endpoint.bodyTypes)
        isOpen = endpoint.traits.contains(.open)
    }

    init(method: String, path: String, operation: YAML, document: YAML) {
        self.method = method.uppercased()
        self.path = path
        name = operation["operationId"]?.text ?? ""
        let responses = operation["responses"]
        statuses = Set((responses?.keys ?? []).compactMap { Int($0) })
        errorTypes = statuses.filter { $0 >= 400 }.reduce(into: []) { types, status in
            types.formUnion(responses?["\(status)"].map { document.resolving($0) }?["content"]?.keys ?? [])
        }
        bodyTypes = Set(operation["requestBody"].map { document.resolving($0) }?["content"]?.keys ?? [])
        let parameters = (operation["parameters"]?.items ?? []).map { document.resolving($0) }
        self.parameters = Set(parameters.filter { $0["in"]?.text == "query" }.compactMap { $0["name"]?.text })
        pathParameters = Set(parameters.filter { $0["in"]?.text == "path" }.compactMap { $0["name"]?.text })
        isOpen = operation["security"] == .sequence([])
    }
}

extension YAML {
    /// What a `$ref` refers to, and anything else itself.
    func resolving(_ node: YAML) -> YAML {
        guard let reference = node["$ref"]?.text else { return node }
        return reference.dropFirst(2).split(separator: "/").reduce(self) { $0[String($1)] ?? .scalar("") }
    }

    /// Every `$ref` in the document.
    var references: [String] {
        switch self {
        case .scalar: []
        case .sequence(let items): items.flatMap(\.references)
        case .mapping(let members):
            members.flatMap { $0.key == "$ref" ? [$0.value.text ?? ""] : $0.value.references }
        }
    }
}

@Suite("The contract")
struct ContractTests {
    private let document: YAML

    init() throws {
        let root = TestFixtures.folder.deletingLastPathComponent().deletingLastPathComponent()
        document = try YAML(try String(contentsOf: root.appending(path: "openapi.yaml"), encoding: .utf8))
    }

    @Test(
        "Every route, parameter, body, status, error and key of the tables is in openapi.yaml, and the other way round")
    func agreement() throws {
        var described: [String: DescribedOperation] = [:]
        let paths = try #require(document["paths"])
        for path in paths.keys {
            for method in paths[path]?.keys ?? [] {
                let operation = try #require(paths[path]?[method])
                described["\(method.uppercased()) \(path)"] = DescribedOperation(
                    method: method, path: path, operation: operation, document: document)
            }
        }
        var declared: [String: DescribedOperation] = [:]
        for endpoint in PublicAPI.endpoints {
            declared["\(endpoint.method) \(endpoint.path)"] = DescribedOperation(endpoint)
        }
        for endpoint in AdminAPI.endpoints {
            let key = "\(endpoint.method) \(endpoint.path)"
            var operation = DescribedOperation(endpoint)
            // What both listeners answer is described once.
            operation.statuses.formUnion(declared[key]?.statuses ?? [])
            declared[key] = operation
        }
        #expect(Set(described.keys) == Set(declared.keys))
        for (key, operation) in declared { #expect(described[key] == operation, "\(key)") }
    }

    @Test("Every reference in openapi.yaml leads somewhere")
    func references() {
        #expect(document.references.count > 50)
        for reference in document.references {
            let target = document.resolving(.mapping([("$ref", .scalar(reference))]))
            #expect(!target.keys.isEmpty, "\(reference)")
        }
    }

    @Test("The codes of problems in openapi.yaml are those that there are")
    func codes() throws {
        let code = document["components"]?["schemas"]?["Problem"]?["properties"]?["code"]
        #expect(code?["enum"]?.items.compactMap(\.text) == ProblemCode.allCases.map(\.rawValue))
    }

    @Test("Every code is described by responses of its status alone, with an example that has its title")
    func errors() throws {
        let responses = try #require(document["components"]?["responses"])
        var described: Set<ProblemCode> = []
        for name in responses.keys {
            guard let problem = responses[name]?["content"]?["application/problem+json"] else { continue }
            let narrowed = try #require(problem["schema"]?["allOf"]?.items.last?["properties"], "\(name)")
            let status = narrowed["status"]?["const"]?.text
            for text in narrowed["code"]?["enum"]?.items.compactMap(\.text) ?? [] {
                let code = try #require(ProblemCode(rawValue: text), "\(name): \(text)")
                #expect(status == "\(code.status)", "\(name): \(text)")
                let example = try #require(problem["examples"]?[text]?["value"], "\(name): \(text)")
                #expect(example["title"]?.text == code.title && example["status"]?.text == status, "\(name): \(text)")
                described.insert(code)
            }
        }
        #expect(described == Set(ProblemCode.allCases))
    }

    @Test("docs/api.md names every operation and, in the row of its status, every code, and no other code")
    func prose() throws {
        let file = TestFixtures.folder.deletingLastPathComponent().deletingLastPathComponent().appending(
            path: "docs/api.md")
        let prose = try String(contentsOf: file, encoding: .utf8)
        let rows = prose.split(separator: "\n").map {
            $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        var described: [String: Set<String>] = [:]
        for row in rows where row.count >= 2 && Int(row[0]) != nil {
            described[row[0]] = Set(row[1].split(separator: ", ").map { $0.trimmingCharacters(in: ["`"]) })
        }
        let declared = Dictionary(grouping: ProblemCode.allCases) { "\($0.status)" }
        #expect(described == declared.mapValues { Set($0.map(\.rawValue)) })
        let paths = PublicAPI.endpoints.map(\.path) + AdminAPI.endpoints.map(\.path)
        for path in paths where !path.hasPrefix("/v2") {
            #expect(prose.contains("\(path)`") || prose.contains("\(path)?"), "\(path)")
        }
        for option in RequestOptions.Name.allCases {
            #expect(prose.contains("| `\(option.rawValue)` |"), "\(option)")
        }
    }
}
