import FeatureService
import HTTPServer
import JSON
import Telemetry

/// What both listeners do with every request before and after its operation: route it, ask for the key, identify it, and
/// turn problems into responses.
struct Gateway<Operation: Endpoint>: Sendable {
    private let router = Router<Operation>()
    private let doorkeeper: Doorkeeper?
    let ledger: RequestLedger
    /// Decompresses bodies, which may not hold up the cooperative pool.
    private let decompressors = DecodePool(width: 2)

    /// - Parameters:
    ///   - keys: any of them opens what isn't open; nil opens everything.
    ///   - wrongKeys: how many of them an address may present.
    init(keys: [String]?, wrongKeys: AuthenticationLimit.Allowance, ledger: RequestLedger) {
        doorkeeper = keys.map { Doorkeeper(keys: $0, allowance: wrongKeys) { ledger.note($0) } }
        self.ledger = ledger
    }

    /// Has other keys open what isn't open, from the next request on.
    ///
    /// - Returns: whether they are others than before.
    /// - Precondition: there were keys from the beginning. A listener that is open, or that others rely on being closed,
    ///   doesn't change into the other while it runs.
    func replace(keys: [String]) -> Bool {
        guard let doorkeeper else { preconditionFailure("the listener was made without keys") }
        return doorkeeper.replace(keys: keys)
    }

    private func label(of head: RequestHead) -> RouteLabel {
        guard let route = try? router.route(method: head.method, path: head.path) else { return .unmatched }
        return RouteLabel(
            method: head.isHead ? "HEAD" : head.method, path: route.operation.path,
            isRoutine: route.operation.isRoutine)
    }

    /// Decides from a head whether the request is let in, and what becomes of the body; `decide` knows the operation. The
    /// server answers no request that hasn't passed here.
    func bodyPolicy(
        _ head: RequestHead, _ decide: (Operation) throws(Problem) -> BodyPolicy
    ) -> BodyPolicy {
        let account = ledger.open(head.id, headers: head.headers, route: label(of: head))
        do throws(Problem) {
            let operation = try router.route(method: head.method, path: head.path).operation
            if let doorkeeper, !operation.isOpen { try doorkeeper.check(head) }
            return try decide(operation)
        } catch {
            ledger.note(error, for: head.id)
            return .reject(account.identifying(error.response(requestID: account.id.description)))
        }
    }

    /// Answers a request; `answer` knows the operation, and gets the request with its body decompressed.
    func respond(
        to request: Request, _ answer: (Request, Route<Operation>, RequestAccount) async throws(Problem) -> Response
    ) async -> Response {
        let account = ledger.account(of: request.head, route: label(of: request.head))
        do throws(Problem) {
            let route = try router.route(method: request.head.method, path: request.head.path)
            return account.identifying(try await answer(try await decoded(request), route, account))
        } catch {
            ledger.note(error, for: request.head.id)
            return account.identifying(error.response(requestID: account.id.description))
        }
    }

    private func decoded(_ request: Request) async throws(Problem) -> Request {
        guard !request.bytes.isEmpty, let coding = try ContentCoding.checked(request.head.headers) else {
            return request
        }
        return try await decompressors.run {
            Result { () throws(Problem) in
                do throws(ContentCodingError) {
                    return try request.decoded(by: coding)
                } catch {
                    throw Problem(error)
                }
            }
        }.get()
    }

    /// The response to what the server itself refuses.
    func response(to error: TransportError) -> Response {
        let account = ledger.open(error.id, headers: error.headers, route: .unmatched)
        let problem = Problem(
            ProblemCode(transportStatus: error.status), error.reason,
            headers: error.status == 503 ? ["Retry-After": "1"] : [:])
        ledger.note(problem, for: error.id)
        return account.identifying(problem.response(requestID: account.id.description))
    }
}

extension Response {
    /// A small JSON object.
    static func json(status: Int = 200, _ members: (inout JSONWriter) -> Void) -> Response {
        var json = JSONWriter()
        json.object(members)
        return Response(status: status, headers: ["Content-Type": "application/json"], body: json.bytes)
    }
}

extension BuildInformation {
    /// The answer to `GET /version`, which both listeners give.
    var response: Response {
        .json { json in
            json.member("name", "headwater")
            json.member("version", version)
            json.member("commit", commit)
        }
    }
}

/// The three health checks, which both listeners answer.
enum HealthCheck: Sendable {
    case live, ready, startup

    /// 200, or 503 with what is the matter.
    func response(_ status: ServiceStatus) throws(Problem) -> Response {
        switch self {
        case .live:
            guard status.isLive else {
                throw Problem(.stuck, "the engine has work but makes no progress", headers: ["Retry-After": "10"])
            }
            return .json { $0.member("live", true) }
        case .startup:
            guard status.isStarted else { throw .starting }
            return .json { $0.member("started", true) }
        case .ready:
            guard status.isStarted else { throw .starting }
            guard !status.isDraining else { throw .stopping }
            guard status.isReady else {
                throw Problem(
                    status.isLive ? .overloaded : .stuck, "the next request would not be served",
                    headers: ["Retry-After": "1"])
            }
            return .json { $0.member("ready", true) }
        }
    }
}
