import API
import Arguments
import Console
import FeatureService
import HTTPServer
import ImagePipeline
import Machine
import Telemetry
import Tensor

enum ServeOptions {
    static let host = Option(
        "host", .string("ADDRESS"), default: "127.0.0.1",
        help: "Where to listen; * is every address, and unix:/PATH is a socket in the file system.")
    static let port = Option("port", short: "p", .port, default: 8080, help: "The port to listen on.")
    static let adminHost = Option(
        "admin-host", .string("ADDRESS"), default: "127.0.0.1",
        help: "Where metrics and checkpoints are served; unix:/PATH is a socket in the file system.")
    static let adminPort = Option("admin-port", .port, default: 8081, help: "The port of the admin listener.")
    static let socketMode = Option(
        "socket-mode", .permissions, default: 0o660, help: "The permissions of the file of --host unix:/PATH.")
    static let adminSocketMode = Option(
        "admin-socket-mode", .permissions, default: 0o600,
        help: "The permissions of the file of --admin-host unix:/PATH.")
    static let connections = Option(
        "max-connections", .integer(in: 1...100_000), default: 1024, help: "The most open connections.")
    static let body = Option(
        "max-body", .bytes(in: 1...(1 << 31)), default: 32 << 20, help: "The largest request body.")
    static let header = Option(
        "max-header", .bytes(in: 1024...(1 << 20)), default: 16 << 10, help: "The largest request head.")
    static let requestTimeout = Option(
        "request-timeout", .duration(in: .milliseconds(1) ... .seconds(86_400)), default: .seconds(30),
        help: "The time that a client has to send its request. A slower one is disconnected.")
    static let idleTimeout = Option(
        "idle-timeout", .duration(in: .milliseconds(1) ... .seconds(86_400)), default: .seconds(75),
        help: "The time that a connection may stay idle between requests.")
    static let certificate = Option(
        "tls-certificate", optional: .file,
        help: "A PEM file of the certificate chain. Together with --tls-key it turns TLS on.")
    static let key = Option("tls-key", optional: .file, help: "A PEM file of the private key.")
    static let apiKeys = Option(
        "api-key-file", optional: .file,
        help:
            "A file of API keys, one per line. Every route then requires one, except the health checks, /, /openapi.yaml and /api.md."
    )

    static let crossOrigins = Option(
        "cors-origin", repeated: .string("ORIGIN"),
        help: "An origin whose pages may use the service (CORS), such as https://app.example. * allows every page and "
            + "is only for a service without API keys.")
    static let playground = Option(
        flag: "playground", default: true, help: "Serve a page at / to try the service in a browser.")
    static let generation = Option(
        flag: "generation", default: true, help: "Offer /sample and /interpolate, which make images.")

    static let adminToken = Option(
        "admin-token-file", optional: .file,
        help: "A file with the bearer token of the admin listener. Without a token, that listener must be on loopback.")
    static let modelDirectory = Option(
        "model-directory", optional: .folder,
        help: "The folder of model files that the admin listener may load and store. Without this folder, the admin "
            + "listener can't change the model.")
    static let aliases = Option(
        "model-alias", repeated: .string("NAME"),
        help:
            "A further name of the serving model at /v1/embeddings and /v1/models, for OpenAI clients that can't change "
            + "theirs.")
    static let resume = Option(
        optionalFlag: "resume-checkpoint",
        help: "Start with the checkpoint that the admin listener activated last; --no-resume-checkpoint starts with "
            + "--model. By default, the later decision counts: activating the checkpoint or configuring another model.")

    static let batch = Option("max-batch", .integer(in: 1...256), default: 8, help: "The most images in a step.")
    static let waiting = Option(
        "max-waiting", .integer(in: 1...1_000_000), default: 1024,
        help: "The most images that wait, which bounds memory. A request that would exceed this number is refused, "
            + "unless no image waits.")
    static let wait = Option(
        "max-wait", .duration(in: .milliseconds(1) ... .seconds(86_400)), default: .seconds(5),
        help: "The longest wait that a request may expect, predicted from the queue and the present rate. While the "
            + "predicted wait is longer, requests are refused.")
    static let decoders = Option(
        "decoders", .integer(in: 1...256), default: 2, help: "The number of images decoded at the same time.")
    static let images = Option(
        "max-images", .integer(in: 1...10_000), default: 32, help: "The most images in a request.")
    static let samples = Option(
        "max-samples", .integer(in: 2...10_000), default: 32,
        help: "The greatest number of images that a request to /sample or /interpolate can generate.")
    static let formats = Option(
        "formats", .formats, default: .standard,
        help: "The image formats that are decoded. Images of other formats are refused by their first bytes.")
    static let pixels = Option(
        "max-pixels", .integer(in: 1...1_000_000_000), default: 64_000_000, help: "The most pixels of an image.")
    static let aspect = Option(
        "max-aspect", .number(in: 1...100_000), default: 60,
        help: "The largest aspect ratio of an image: the longer side divided by the shorter.")
    static let cache = Option(
        "cache-size", .bytes(in: 0...(1 << 40)), default: 0,
        help: "Memory for a cache of answers. A repeated image gets the cached answer, and identical images in "
            + "progress are computed once. 0 turns the cache off.")
    static let deadline = Option(
        "default-deadline", .duration(in: .milliseconds(1) ... .seconds(86_400)), default: .seconds(60),
        help: "The deadline of a request without X-Request-Timeout.")
    static let batching = Option(
        "batching", .choice("MODE", of: BatchingMode.self), default: .step,
        help: "When images join a batch: step (at every step) or request (only after the current batch has ended).")
    static let drainDelay = Option(
        "drain-delay", .duration(in: .zero ... .seconds(3600)), default: .zero,
        help: "The time after SIGTERM in which the service reports not ready but accepts requests, so that load "
            + "balancers notice.")
    static let drainTimeout = Option(
        "drain-timeout", .duration(in: .zero ... .seconds(3600)), default: .seconds(30),
        help: "The time after --drain-delay in which requests in progress may finish.")

    static let accessLog = Option(
        "access-log", .choice("REQUESTS", of: AccessLog.self), default: .all,
        help: "Which requests are logged: all, errors (status 400 and above, or unanswered) or off. Health checks and "
            + "scrapes that succeed are logged only at the level debug.")
    static let logLevel = Option(
        "log-level", .choice("LEVEL", of: LogLevel.self), default: .info,
        help: "The least severe level to log: debug, info, warning or error.")
    static let logFormat = Option(
        "log-format", optional: .choice("FORMAT", of: LogFormat.self),
        help: "The format of the log. The default is text on a terminal and json otherwise.")

    static let otlpEndpoint = Option(
        "otlp-endpoint", optional: .string("URL"),
        help: "Where to export traces: a collector's address for OTLP over HTTP, such as "
            + "http://localhost:4318/v1/traces. Without it, the service exports none.")
    static let otlpSample = Option(
        "otlp-sample", .number("RATIO", in: 0...1), default: 1,
        help:
            "The share of requests without a traceparent that are traced. If a request has a traceparent, its caller decides."
    )

    static let all = [
        OptionGroup(
            "Network",
            [
                host, port, adminHost, adminPort, socketMode, adminSocketMode, connections, body, header,
                requestTimeout, idleTimeout, certificate, key, apiKeys, crossOrigins, playground,
                generation, adminToken,
            ]),
        OptionGroup("Model", [modelDirectory, ModelSource.option, aliases, resume]),
        OptionGroup(
            "Service",
            [
                batch, wait, waiting, decoders, images, samples, formats, pixels, aspect, cache, deadline, batching,
                drainDelay,
                drainTimeout,
            ]),
        OptionGroup("Computation", [BulkOptions.exactDecode]), Computation.options,
        OptionGroup("Logs", [accessLog, logLevel, logFormat]),
        OptionGroup("Traces", [otlpEndpoint, otlpSample]),
    ]
}
