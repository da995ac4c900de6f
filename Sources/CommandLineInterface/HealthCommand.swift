import Arguments
import Console
import FoundationEssentials
import HTTPServer

/// `headwater health`: asks a service on this machine whether it is ready; the container's health check.
enum HealthCommand: Subcommand {
    private static let host = Option(
        "host", .string("ADDRESS"), default: "127.0.0.1",
        help: "The address that the service listens on, as for 'headwater serve'. For * and other addresses that mean "
            + "all addresses, loopback is used; unix:/PATH is a socket in the file system.")
    private static let port = Option("port", short: "p", .port, default: 8080, help: "The service's port.")
    private static let tls = Option(
        optionalFlag: "tls",
        help: "Use TLS. The default is to use TLS if HEADWATER_TLS_CERTIFICATE is set and --port is not given.")
    private static let authority = Option(
        "tls-ca", optional: .file,
        help: "A PEM file of the certificates to trust. Without it, any certificate is accepted: the request contains "
            + "no secret.")
    private static let name = Option(
        "tls-name", optional: .string("NAME"),
        help: "The name that the certificate must have, with --tls-ca. The default is the host.")
    private static let certificateVariable = "HEADWATER_TLS_CERTIFICATE"

    static let command = Command(
        name: "health", abstract: "check whether a running service is ready",
        discussion: "Requests GET /health/ready. The exit status is 0 if the service is ready and 1 if not.",
        options: [[host, port, tls, authority, name]],
        variables: [
            certificateVariable: "As for 'headwater serve'. If it is set and --port is not given, TLS is the default."
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let probe = try probe(arguments, environment: ProcessInfo.processInfo.environment)
        do throws(StatusProbe.Failure) {
            let status = try probe.statusLine(of: "/health/ready")
            let isReady = status.hasPrefix("HTTP/1.1 200")
            print(isReady ? "ready" : "not ready: \(status)")
            return isReady ? .success : .negative
        } catch {
            Terminal.report("nothing answers at \(probe.destination): \(error)")
            return .negative
        }
    }

    static func probe(_ arguments: ParsedArguments, environment: [String: String]) throws -> StatusProbe {
        let destination = ServerAddress(of: ListenAddress(try arguments[host]), port: try arguments[port])
        guard try speaksTLS(arguments, environment) else {
            try arguments.refuse(
                [authority, name], "without TLS there is no certificate to check", remedy: "give --tls as well")
            return StatusProbe(destination)
        }
        let trusted = try arguments[authority].map { try InputFile.text($0, at: arguments.place(of: authority)) }
        let host = if case .internet(let host, _) = destination { host } else { "localhost" }
        return StatusProbe(destination, tls: StatusProbe.TLS(name: try arguments[name] ?? host, trustedPEM: trusted))
    }

    private static func speaksTLS(_ arguments: ParsedArguments, _ environment: [String: String]) throws -> Bool {
        if let tls = try arguments[tls] { return tls }
        // A port that is given may be the admin listener's, which never speaks TLS.
        if case .flag = arguments.source(of: port) { return false }
        return environment[certificateVariable].map { !$0.isEmpty } ?? false
    }
}
