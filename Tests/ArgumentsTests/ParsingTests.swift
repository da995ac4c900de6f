import TestFixtures
import Testing

@testable import Arguments

@Suite struct ParsingTests {
    @Test("Without flags and variables every option has its default")
    func defaults() throws {
        let parsed = try Sample.parse(["serve"])
        #expect(try parsed[Sample.host] == "127.0.0.1")
        #expect(try parsed[Sample.port] == 8080)
        #expect(try parsed[Sample.bodyLimit] == 33_554_432)
        #expect(try parsed[Sample.drainTimeout] == .seconds(30))
        #expect(try parsed[Sample.keyFile] == nil)
        #expect(try parsed[Sample.solver] == .euler)
        #expect(try parsed[Sample.sizes] == [16, 32])
        #expect(try parsed[Sample.warm])
        #expect(parsed.source(of: Sample.port) == nil)
        #expect(parsed.warnings.isEmpty)
    }

    @Test(
        "Every spelling of an option is understood",
        arguments: [
            ["--port", "9"], ["--port=9"], ["-p", "9"], ["-p9"], ["-p=9"], ["--port", "1", "--port", "9"],
        ])
    func spellings(arguments: [String]) throws {
        let parsed = try Sample.parse(["serve"] + arguments)
        #expect(try parsed[Sample.port] == 9)
    }

    @Test("Switches turn on and off, the last one counting")
    func flags() throws {
        #expect(try Sample.parse(["serve", "--no-warm-up"])[Sample.warm] == false)
        #expect(try Sample.parse(["serve", "--no-warm-up", "-w"])[Sample.warm])
        #expect(Sample.fault(["serve", "--warm-up=yes"])?.source == "--warm-up")
    }

    @Test("Typed values come out of lists, choices and paths")
    func typedValues() throws {
        let parsed = try Sample.parse([
            "serve", "--sizes=8,64", "--solver", "heun", "--api-key-file", "a b",
            "--drain-timeout", "1500ms", "--body-limit", "1GiB",
        ])
        #expect(try parsed[Sample.sizes] == [8, 64])
        #expect(try parsed[Sample.solver] == .heun)
        #expect(try parsed[Sample.keyFile] == "a b")
        #expect(try parsed[Sample.drainTimeout] == .milliseconds(1500))
        #expect(try parsed[Sample.bodyLimit] == 1 << 30)
    }

    @Test("Positionals mix with options; after -- everything is positional; - is a positional")
    func positionals() throws {
        let parsed = try Sample.parse(["embed", "m", "a", "-o", "out", "-", "--", "--scale", "-x"])
        #expect(try parsed[Sample.model] == "m")
        #expect(try parsed[Sample.images] == ["a", "-", "--scale", "-x"])
        #expect(try parsed[Sample.output] == "out")
        #expect(try Sample.parse(["inspect"])[Sample.topic] == nil)
        #expect(try Sample.parse(["inspect", "t"])[Sample.topic] == "t")
    }

    @Test("A negative number can be a value")
    func negativeNumbers() throws {
        #expect(try Sample.parse(["embed", "-o", "o", "--scale", "-1.5", "m", "i"])[Sample.scale] == -1.5)
    }

    @Test(
        "Every value of a repeated option counts, given one by one or with commas, and a flag outweighs the variable",
        arguments: [
            ([], [:], []), (["--tag", "a"], [:], ["a"]), (["--tag", "a", "--tag=b,c"], [:], ["a", "b", "c"]),
            ([], ["TOOL_TAG": "a,b"], ["a", "b"]), (["--tag", "c"], ["TOOL_TAG": "a,b"], ["c"]),
        ] as [([String], [String: String], [String])])
    func repeated(written: [String], environment: [String: String], tags: [String]) throws {
        let parsed = try Sample.parse(["embed", "-o", "o", "m", "i"] + written, environment)
        #expect(try parsed[Sample.tags] == tags)
        #expect(parsed.text(of: Sample.tags) == (tags.isEmpty ? nil : tags.joined(separator: ",")))
        #expect(Sample.fault(["embed", "-o", "o", "m", "i", "--tag", "a", "--tag", ""])?.source == "--tag")
    }

    @Test("A flag outweighs its variable, which outweighs the default, and the source is told")
    func precedence() throws {
        let environment = ["TOOL_PORT": "7000", "TOOL_WARM_UP": "off", "TOOL_HOST": ""]
        let byVariable = try Sample.parse(["serve"], environment)
        #expect(try byVariable[Sample.port] == 7000)
        #expect(byVariable.source(of: Sample.port) == .variable("TOOL_PORT"))
        #expect(try byVariable[Sample.warm] == false)
        #expect(try byVariable[Sample.host] == "127.0.0.1", "an empty variable counts as unset")
        let byFlag = try Sample.parse(["serve", "-p", "1", "--warm-up"], environment)
        #expect(try byFlag[Sample.port] == 1)
        #expect(byFlag.source(of: Sample.port) == .flag("-p"))
        #expect(try byFlag[Sample.warm])
    }

    @Test("Every command reads the variables of its own options and passes over those of the others")
    func sharedEnvironment() throws {
        let environment = ["TOOL_SCALE": "-2", "TOOL_OUTPUT": "out", "TOOL_PORT": "nonsense", "TOOL_KERNELS": "x"]
        let parsed = try Sample.parse(["embed", "m", "i"], environment)
        #expect(try parsed[Sample.scale] == -2)
        #expect(try parsed[Sample.output] == "out", "also of an option that must be given")
        #expect(parsed.warnings.isEmpty)
        #expect(try Sample.parse(["embed", "m", "i", "-o", "o", "--scale", "1"], environment)[Sample.scale] == 1)
        #expect(Sample.fault(["embed", "m", "i"], ["TOOL_OUTPUT": "o", "TOOL_SCALE": "9"])?.source == "TOOL_SCALE")
    }

    @Test("A fault that is found later names what gave the value")
    func places() throws {
        #expect(try Sample.parse(["serve"]).place(of: Sample.port) == "--port")
        #expect(try Sample.parse(["serve", "-p", "1"]).place(of: Sample.port) == "-p")
        #expect(try Sample.parse(["serve"], ["TOOL_PORT": "1"]).place(of: Sample.port) == "TOOL_PORT")
    }

    @Test(
        "Variables unknown to every command are warned of with the nearest known; foreign ones aren't",
        arguments: [["serve"], ["inspect"]])
    func unknownVariables(command: [String]) throws {
        let environment = [
            "TOOL_PROT": "1", "TOOL_ZZZZZZZZ": "1", "TOOL_KERNELS": "x", "TOOLS": "1", "PATH": "/", "TOOL_SCALE": "1",
        ]
        #expect(
            try Sample.parse(command, environment).warnings == [
                "unknown variable 'TOOL_PROT' is ignored; did you mean TOOL_PORT?",
                "unknown variable 'TOOL_ZZZZZZZZ' is ignored",
            ])
    }

    @Test("What Kubernetes sets for a Service of the program's name is not taken for configuration")
    func kubernetesServiceLinks() throws {
        let links = [
            "TOOL_SERVICE_HOST": "10.0.0.1", "TOOL_SERVICE_PORT": "80", "TOOL_SERVICE_PORT_HTTP": "80",
            "TOOL_PORT": "tcp://10.0.0.1:80", "TOOL_PORT_80_TCP": "tcp://10.0.0.1:80", "TOOL_PORT_80_TCP_PORT": "80",
        ]
        let parsed = try Sample.parse(["serve"], links)
        #expect(try parsed[Sample.port] == 8080)
        #expect(parsed.warnings.count == 1)
        #expect(parsed.warnings.first?.contains("enableServiceLinks") == true)
        let own = try Sample.parse(["serve"], links.merging(["TOOL_PORT": "81"]) { $1 })
        #expect(try own[Sample.port] == 81, "a port of our own still counts")
        #expect(Sample.fault(["serve"], ["TOOL_PORT": "tcp://10.0.0.1:80"])?.source == "TOOL_PORT")
        #expect(try Sample.parse(["inspect"], links).warnings.isEmpty, "a command without a port isn't concerned")
    }

    @Test(
        "A fault says what, where and what to do",
        arguments: [
            (["serve", "--port", "70000"], "--port", "'70000' is not accepted", "0 (any free one) to 65535"),
            (["serve", "-p", "x"], "-p", "'x' is not accepted", "a port"),
            (["serve", "--port"], "--port", "needs a value", "a port"),
            (["serve", "--port", "--host", "h"], "--port", "needs a value", "a port"),
            (["serve", "--host="], "--host", "the value is empty", "give some text"),
            (["serve", "--prot", "1"], nil, "unknown option '--prot'", "did you mean --port?"),
            (["serve", "--no-warmup"], nil, "unknown option '--no-warmup'", "did you mean --no-warm-up?"),
            (["serve", "--no-port"], nil, "unknown option '--no-port'", "did you mean --port?"),
            (["serve", "-wx"], nil, "unknown option '-wx'", "put -- before"),
            (["serve", "--", "x"], nil, "unexpected argument 'x'", "serve takes options only"),
            (["serve", "--solver", "hen"], "--solver", "'hen' is not accepted", "did you mean heun?"),
            (["serve", "--sizes", "8,,9"], "--sizes", "'8,,9' is not accepted", "a list with commas"),
            (["serve", "--body-limit", "32M"], "--body-limit", "'32M' is not accepted", "such as 32MiB"),
            (["serve", "--drain-timeout", "30"], "--drain-timeout", "'30' is not accepted", "with its unit"),
            (["embed", "m", "i"], "--output", "is missing", "the path of a file"),
            (["embed", "-o", "o"], "MODEL", "is missing", "the path of a file"),
            (["embed", "-o", "o", "m"], "IMAGES", "is missing", "the path of a file"),
            (["inspect", "a", "b"], nil, "unexpected argument 'b'", "inspect takes [TOPIC]"),
            (["serv"], nil, "unknown command 'serv'", "did you mean serve?"),
            (["--port"], nil, "unknown option '--port'", "give one of serve, embed, inspect"),
            ([], nil, "no command is given", "give one of serve, embed, inspect"),
            (["help", "emebd"], nil, "unknown command 'emebd'", "did you mean embed?"),
        ] as [([String], String?, String, String)])
    func faults(arguments: [String], source: String?, problem: String, remedy: String) throws {
        let fault = try #require(Sample.fault(arguments))
        #expect(fault.source == source)
        #expect(fault.problem == problem)
        #expect(fault.remedy.contains(remedy), "\(fault.remedy)")
    }

    @Test("A fault in the environment names the variable, and every fault the help that tells more")
    func faultPlaces() throws {
        let fault = try #require(Sample.fault(["serve"], ["TOOL_WARM_UP": "maybe"]))
        #expect(
            fault.description == """
                TOOL_WARM_UP: 'maybe' is not accepted; give true or false
                See 'tool serve --help'.
                """)
        #expect(Sample.fault(["x"])?.helpCommand == "tool --help")
    }

    @Test("What is quoted can't command a terminal, nor fill it")
    func quotation() {
        #expect(UsageError.quoted("a\u{1B}[2J\n\u{202E}") == "'a\\u{1B}[2J\\n\\u{202E}'")
        #expect(UsageError.quoted(String(repeating: "x", count: 10_000)).count == 83)
    }

    @Test("Asking for what a command doesn't declare is an error, not a trap")
    func undeclared() throws {
        let parsed = try Sample.parse(["inspect"])
        #expect(throws: ParsedArguments.Undeclared(name: "--port")) { try parsed[Sample.port] }
        #expect(throws: ParsedArguments.Undeclared(name: "MODEL")) { try parsed[Sample.model] }
    }

    @Test("No command line or environment, however strange, crashes the parser")
    func randomInput() {
        var generator = SeededGenerator(seed: 7)
        let pieces = [
            "serve", "embed", "inspect", "help", "--", "-", "-o", "-p", "-w", "--port", "--port=", "--no-",
            "--no-warm-up",
            "--=", "=", "-=", "--sizes=,", "", "99999999999999999999GiB", "-9223372036854775808", "0x",
            "9223372036854775807h",
            "é", "\u{0}", "--\u{301}", "nan", "-inf", "1,2,3", "tcp://x", "🏳️‍🌈", String(repeating: "-", count: 300),
        ]
        var (parsed, refused) = (0, 0)
        for _ in 0..<5000 {
            let arguments = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }
            var environment: [String: String] = [:]
            for name in ["TOOL_PORT", "TOOL_SIZES", "TOOL_SERVICE_HOST", "TOOL_", "TOOL_SOLVER", "TOOL_PORT_"] {
                if Bool.random(using: &generator) { environment[name] = pieces.randomElement(using: &generator) }
            }
            if let fault = Sample.fault(arguments, environment) {
                #expect(!fault.description.isEmpty)
                refused += 1
            } else {
                parsed += 1
            }
        }
        #expect(parsed > 10 && refused > 1000, "\(parsed) parsed, \(refused) refused")
    }

    @Test("The sample's descriptions are sound, and faults in a description are found")
    func descriptionFaults() {
        #expect(Sample.program.descriptionFaults.isEmpty)
        let bad = Command(
            name: "bad", abstract: "", options: [[Sample.port, Sample.port]],
            positionals: [Sample.images, Sample.model])
        #expect(bad.descriptionFaults.count == 3)
        let unreachable = Command(
            name: "b", abstract: "", positionals: [Sample.topic, Sample.model])
        #expect(unreachable.descriptionFaults.count == 1)
        let shadowing = Command(
            name: "c", abstract: "", options: [[Option(flag: "help", short: "h", help: "")]])
        #expect(shadowing.descriptionFaults.count == 3)
    }
}
