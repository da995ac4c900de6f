import API
import Arguments
import Console
import FeatureService
import Foundation
import HTTPServer
import TestFixtures
import Testing

@testable import CommandLineInterface

@Suite("Where the service listens and is asked")
struct ListenerOptionsTests {
    /// What a command line comes to.
    private static func parse(_ arguments: [String], environment: [String: String] = [:]) throws -> ParsedArguments {
        guard
            case .run(_, let parsed) = try HeadwaterProgram.program.invocation(
                arguments, environment: environment, commit: "")
        else { throw CancellationError() }
        return parsed
    }

    @Test(
        "Addresses to listen on, and whether only this machine reaches them",
        arguments: [
            ("*", ListenAddress.all, false), ("127.0.0.1", .host("127.0.0.1"), true),
            ("127.9.9.9", .host("127.9.9.9"), true), ("127.0.0.1.example.org", .host("127.0.0.1.example.org"), false),
            ("[::1]", .host("::1"), true), ("::1", .host("::1"), true), ("::", .host("::"), false),
            ("localhost", .host("localhost"), true), ("10.0.0.1", .host("10.0.0.1"), false),
            ("unix:/run/s", .unix(path: "/run/s"), true),
        ])
    func addresses(text: String, address: ListenAddress, isLocal: Bool) {
        #expect(ListenAddress(text) == address)
        #expect(address.isLocal == isLocal)
    }

    @Test(
        "Two listeners that would share a port or a socket are refused by the names of their options",
        arguments: [
            (
                ["--port", "9000", "--admin-port", "9000"],
                "--port and --admin-port: both listeners would use port 9000"
            ),
            (["--port", "8081"], "--port and --admin-port"),
            (["--host", "*", "--port", "8081"], "--port and --admin-port"),
            (["--host", "localhost", "--port", "8081"], "--port and --admin-port"),
            (["--host", "unix:/s", "--admin-host", "unix:/s"], "--host and --admin-host"),
            (["--host", "[::1]", "--port", "8081"], nil), (["--port", "0", "--admin-port", "0"], nil),
            (["--host", "unix:/s", "--admin-host", "unix:/t"], nil), (["--host", "unix:/s", "--port", "8081"], nil),
        ] as [([String], String?)])
    func ports(arguments: [String], refusal: String?) throws {
        let parsed = try Self.parse(["serve"] + arguments)
        guard let refusal else {
            _ = try ServeOptions.server(parsed)
            return
        }
        #expect { try ServeOptions.server(parsed) } throws: { "\($0)".hasPrefix(refusal) }
    }

    @Test("The admin listener needs a token wherever others than this machine reach it")
    func admin() throws {
        for host in ["127.0.0.1", "[::1]", "localhost", "unix:/run/admin"] {
            _ = try ServeOptions.adminServer(try Self.parse(["serve", "--admin-host", host]))
        }
        for host in ["*", "0.0.0.0", "10.0.0.1", "::"] {
            let parsed = try Self.parse(["serve", "--admin-host", host])
            #expect { try ServeOptions.adminServer(parsed) } throws: { "\($0)".contains("--admin-token-file") }
        }
    }

    @Test("A socket in the file system gets the permissions of its option")
    func permissions() throws {
        let parsed = try Self.parse([
            "serve", "--host", "unix:/a", "--socket-mode", "666", "--admin-host", "unix:/b",
        ])
        let (server, admin) = (try ServeOptions.server(parsed), try ServeOptions.adminServer(parsed))
        #expect(server.address == .unix(path: "/a") && server.socketPermissions == 0o666)
        #expect(admin.address == .unix(path: "/b") && admin.socketPermissions == 0o600)
        for wrong in ["888", "1777", "rw", "-1"] {
            #expect(throws: UsageError.self) { try Self.parse(["serve", "--socket-mode", wrong]) }
        }
    }

    @Test(
        "Sockets that systemd passes are known by their names, and only if they are for this process",
        arguments: [
            (["LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "admin:public"], 4, 3),
            (["LISTEN_FDS": "1", "LISTEN_PID": "7", "LISTEN_FDNAMES": "headwater.socket"], 3, nil),
            (["LISTEN_FDS": "1", "LISTEN_PID": "7"], 3, nil),
            (["LISTEN_FDS": "1", "LISTEN_PID": "7", "LISTEN_FDNAMES": "admin"], nil, 3),
            (["LISTEN_FDS": "2", "LISTEN_PID": "8", "LISTEN_FDNAMES": "admin:public"], nil, nil), ([:], nil, nil),
        ] as [([String: String], Int32?, Int32?)])
    func activation(environment: [String: String], public: Int32?, admin: Int32?) throws {
        let sockets = try ActivatedSockets(environment: environment, process: 7)
        #expect(sockets.public == `public` && sockets.admin == admin)
    }

    @Test(
        "Sockets whose listener isn't clear are refused",
        arguments: [("2", "public:public"), ("2", "public:other"), ("2", ""), ("many", "public"), ("-1", "")])
    func unclear(count: String, names: String) {
        let environment = ["LISTEN_FDS": count, "LISTEN_PID": "7", "LISTEN_FDNAMES": names]
        #expect { try ActivatedSockets(environment: environment, process: 7) } throws: {
            ($0 as? UsageError)?.source?.hasPrefix("LISTEN_FD") == true
        }
    }

    @Test("A passed socket that others reach needs the admin token as well")
    func passedAdmin() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        // Not bound yet, it is of every address.
        try #require(listen(descriptor, 1) == 0)
        let environment = ["LISTEN_FDS": "1", "LISTEN_PID": "7", "LISTEN_FDNAMES": "admin"]
        let sockets = try ActivatedSockets(environment: environment, process: 7, first: descriptor)
        let parsed = try Self.parse(["serve"])
        #expect { try ServeOptions.adminServer(parsed, sockets) } throws: { "\($0)".contains("--admin-token-file") }
    }

    @Test(
        "health asks where a service listens, over TLS where the environment says that it speaks it",
        arguments: [
            ([], [:], ServerAddress.internet(host: "127.0.0.1", port: 8080), false),
            (["--host", "*", "--port", "1"], [:], .internet(host: "127.0.0.1", port: 1), false),
            (["--host", "0.0.0.0"], [:], .internet(host: "127.0.0.1", port: 8080), false),
            (["--host", "[::]"], [:], .internet(host: "::1", port: 8080), false),
            (["--host", "[::1]"], [:], .internet(host: "::1", port: 8080), false),
            ([], ["HEADWATER_HOST": "unix:/run/s"], .unix(path: "/run/s"), false),
            (["--tls"], [:], .internet(host: "127.0.0.1", port: 8080), true),
            (
                [], ["HEADWATER_TLS_CERTIFICATE": "/c", "HEADWATER_PORT": "443"],
                .internet(host: "127.0.0.1", port: 443), true
            ),
            (["--no-tls"], ["HEADWATER_TLS_CERTIFICATE": "/c"], .internet(host: "127.0.0.1", port: 8080), false),
            // The admin listener's port, perhaps.
            (["--port", "8081"], ["HEADWATER_TLS_CERTIFICATE": "/c"], .internet(host: "127.0.0.1", port: 8081), false),
        ] as [([String], [String: String], ServerAddress, Bool)])
    func health(
        arguments: [String], environment: [String: String], destination: ServerAddress, speaksTLS: Bool
    ) throws {
        let parsed = try Self.parse(["health"] + arguments, environment: environment)
        let probe = try HealthCommand.probe(parsed, environment: environment)
        #expect(probe.destination == destination)
        #expect((probe.tls != nil) == speaksTLS)
    }

    @Test("What checks a certificate is refused where TLS isn't spoken")
    func uselessTrust() throws {
        for arguments in [["--tls-ca", "/c"], ["--tls-name", "a"]] {
            let parsed = try Self.parse(["health"] + arguments)
            #expect { try HealthCommand.probe(parsed, environment: [:]) } throws: { "\($0)".contains(arguments[0]) }
        }
    }

    @Test("--model-alias may be given several times, and its variable has commas")
    func aliases() throws {
        let build = HeadwaterProgram.build
        func aliases(_ arguments: [String], _ environment: [String: String] = [:]) throws -> [String] {
            try ServeOptions.publicAPI(try Self.parse(["serve"] + arguments, environment: environment), build)
                .modelAliases
        }
        #expect(try aliases([]).isEmpty)
        #expect(try aliases(["--model-alias", "a", "--model-alias", "org/b"]) == ["a", "org/b"])
        #expect(try aliases([], ["HEADWATER_MODEL_ALIAS": "a,b"]) == ["a", "b"])
        #expect(throws: UsageError.self) { try aliases(["--model-alias", ""]) }
    }

    @Test("--cors-origin takes origins as browsers send them, or * for a service without keys")
    func crossOrigins() throws {
        func pages(_ arguments: [String], _ environment: [String: String] = [:]) throws -> CrossOriginPolicy? {
            try ServeOptions.publicAPI(
                try Self.parse(["serve"] + arguments, environment: environment), HeadwaterProgram.build
            ).pages
        }
        let (app, local) = (try WebOrigin("https://app.example"), try WebOrigin("http://localhost:5173"))
        #expect(try pages([]) == nil)
        #expect(try pages(["--cors-origin", app.text, "--cors-origin", local.text]) == .pages(of: [app, local]))
        #expect(try pages([], ["HEADWATER_CORS_ORIGIN": "\(app.text),\(local.text)"]) == .pages(of: [app, local]))
        #expect(try pages(["--cors-origin", "*"]) == .everyPage)
        let scratch = try Scratch()
        let keys = try scratch.write(Array("a-key-of-the-service".utf8), to: "keys")
        #expect(try pages(["--cors-origin", app.text, "--api-key-file", keys]) == .pages(of: [app]))
        for (arguments, place, remedy) in [
            (["--cors-origin", "https://app.example/"], "--cors-origin", "give https://app.example"),
            (["--cors-origin", "app.example"], "--cors-origin", "such as https://app.example"),
            (["--cors-origin", "null"], "--cors-origin", "give that server's origin"),
            (["--cors-origin", "*,https://app.example"], "--cors-origin", "leave the others out"),
            (["--cors-origin", "*", "--api-key-file", keys], "--cors-origin", "leave --api-key-file out"),
        ] {
            #expect { try pages(arguments) } throws: {
                guard let error = $0 as? UsageError else { return false }
                return error.source == place && error.remedy.contains(remedy)
            }
        }
    }

    @Test("--otlp-endpoint takes the whole address of a collector, and --otlp-sample needs one")
    func collectors() throws {
        func endpoint(_ arguments: [String]) throws -> String? {
            try ServeTracing.endpoint(try Self.parse(["serve"] + arguments))
        }
        #expect(try endpoint([]) == nil)
        for url in [
            "http://localhost:4318/v1/traces", "https://collector.example/otlp?a=b", "http://[::1]:4318/v1/traces",
            "HTTP://Collector/v1/traces",
        ] {
            #expect(try endpoint(["--otlp-endpoint", url, "--otlp-sample", "0.1"]) == url)
        }
        for (url, remedy) in [
            ("localhost:4318/v1/traces", "such as http://localhost:4318/v1/traces"),
            ("grpc://localhost:4317", "such as http://localhost:4318/v1/traces"),
            ("http:///v1/traces", "such as http://localhost:4318/v1/traces"),
            ("http://a/v1/traces\n", "such as http://localhost:4318/v1/traces"),
            ("http://collector:4318", "give http://collector:4318/v1/traces"),
            ("http://collector:4318/", "give http://collector:4318/v1/traces"),
            ("http://user:secret@collector/v1/traces", "leave it out"),
            ("http://localhost:99999/v1/traces", "such as http://localhost:4318/v1/traces"),
            ("http://localhost:0/v1/traces", "such as http://localhost:4318/v1/traces"),
            ("http://:4318/v1/traces", "such as http://localhost:4318/v1/traces"),
            ("http://[::1/v1/traces", "such as http://localhost:4318/v1/traces"),
            ("http://localhost:4318/v1/traces#x", "leave out the #"),
        ] {
            #expect { try endpoint(["--otlp-endpoint", url]) } throws: {
                guard let error = $0 as? UsageError else { return false }
                return error.source == "--otlp-endpoint" && error.remedy.contains(remedy)
                    && !error.problem.contains("secret")
            }
        }
        #expect { try endpoint(["--otlp-sample", "0.5"]) } throws: { "\($0)".contains("give --otlp-endpoint") }
        #expect(throws: UsageError.self) { try endpoint(["--otlp-sample", "1.5"]) }
    }

    @Test("--resume-checkpoint means three things, and needs a model directory")
    func resumption() throws {
        let folder = ["--model-directory", "/models"]
        for (arguments, preference) in [
            ([], StartingCheckpoint.Preference.latest), (folder + ["--resume-checkpoint"], .resume),
            (["--no-resume-checkpoint"], .configured),
        ] {
            #expect(try ServeOptions.preference(try Self.parse(["serve"] + arguments)) == preference)
        }
        let parsed = try Self.parse(["serve", "--resume-checkpoint"])
        #expect { try ServeOptions.preference(parsed) } throws: { "\($0)".contains("--model-directory") }
    }

    @Test("Files that can't be used are told with the option, the path and the cause")
    func files() throws {
        let scratch = try Scratch()
        let text = try scratch.write(Array("text".utf8), to: "text")
        let large = try scratch.write([UInt8](repeating: 97, count: 1 << 20 + 1), to: "large")
        let bytes = try scratch.write([0xFF, 0xFE], to: "bytes")
        let missing = scratch.path("missing")
        for (path, status, cause) in [
            (missing, Console.ExitStatus.unreadableInput, "No such file or directory"),
            (scratch.folder.path, .unreadableInput, "Is a directory"), (large, .unusableData, "larger than 1 MiB"),
            (bytes, .unusableData, "not UTF-8"),
        ] {
            for arguments in [
                ["--tls-certificate", path, "--tls-key", text], ["--tls-key", path, "--tls-certificate", text],
                ["--api-key-file", path], ["--admin-token-file", path],
            ] {
                let parsed = try Self.parse(["serve"] + arguments)
                #expect {
                    _ = try ServeOptions.identity(parsed)
                    _ = try ServeOptions.publicKeys(parsed)
                    _ = try ServeOptions.token(parsed)
                } throws: {
                    "\($0)".contains("\(arguments[0]): \(path): ") && "\($0)".contains(cause)
                        && ($0 as? CommandFailure)?.status == status
                }
            }
        }
        let parsed = try Self.parse(["serve", "--tls-certificate", text, "--tls-key", text])
        #expect { try ServeOptions.identity(parsed) } throws: {
            "\($0)".contains("--tls-certificate \(text)") && "\($0)".contains("the certificate can't be read")
        }
        let half = try Self.parse(["serve", "--tls-key", text])
        #expect { try ServeOptions.identity(half) } throws: { "\($0)".contains("--tls-key: TLS needs its certificate") }
    }

    @Test(
        "A mistyped variable is told with the one that was meant, of this command rather than of others",
        arguments: [
            ("serve", "HEADWATER_PROT", "HEADWATER_PORT"), ("health", "HEADWATER_PROT", "HEADWATER_PORT"),
            ("serve", "HEADWATER_TLS_KYE", "HEADWATER_TLS_KEY"), ("serve", "HEADWATER_HOTS", "HEADWATER_HOST"),
            ("serve", "HEADWATER_X", nil),
        ] as [(String, String, String?)])
    func variables(command: String, variable: String, meant: String?) throws {
        let warnings = try Self.parse([command], environment: [variable: "1"]).warnings
        let suggestion = meant.map { "; did you mean \($0)?" } ?? ""
        #expect(warnings == ["unknown variable '\(variable)' is ignored\(suggestion)"])
    }
}
