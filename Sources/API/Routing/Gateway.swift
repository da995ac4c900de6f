import FeatureService
import HTTPServer

/// Serves an API's table of endpoints: routes a request once, authenticates it, has its endpoint read the head, decompresses
/// its body, and turns problems into responses.
struct Gateway<API: EndpointAPI>: Application {
    private let api: API
    private let router = Router<API>()
    /// Decompresses bodies, which must not block the cooperative pool.
    private let decompressors = BlockingPool(width: 2)

    init(_ api: API) { self.api = api }

    func observation(of headers: HTTPHeaders, target: String?) -> RequestObservation {
        RequestObservation(
            headers, errors: ErrorFormat(ofTarget: target), pages: api.pages, sampler: api.observer.tracing?.sampler)
    }

    func admit(_ head: RequestHead, _ observation: inout RequestObservation) -> Admission<Acceptance> {
        do throws(Problem) {
            if let pages = api.pages, let preflight = Preflight(method: head.method, head.headers) {
                observation.route = .preflight
                return .accepted(try accept(preflight, of: pages, path: head.path), .memory(maximumBytes: 0))
            }
            let (endpoint, parameters) = try router.route(method: head.method, path: head.path)
            observation.route = RouteLabel(
                method: head.isHead ? "HEAD" : head.method, path: endpoint.path,
                isRoutine: endpoint.traits.contains(.routine))
            observation.path = head.path
            observation.errors = endpoint.errors
            if !endpoint.traits.contains(.open) {
                try api.authenticator?.check(head)
                try api.screen(head)
            }
            let acceptance = try endpoint.admit(api, head, parameters)
            return .accepted(acceptance, acceptance.body)
        } catch {
            return .refused(api.observer.response(to: error, &observation))
        }
    }

    /// Accepts a preflight, which has no key even where the request itself needs one.
    private func accept(
        _ preflight: Preflight, of pages: CrossOriginPolicy, path: String
    ) throws(Problem) -> Acceptance {
        guard let headers = pages.headers(for: preflight, methods: router.methods(at: path)) else {
            throw Problem(
                .pageForbidden,
                "pages of this origin may not use the service; headwater serve --cors-origin ORIGIN allows an origin")
        }
        return Acceptance(body: .memory(maximumBytes: 0)) { _, _ in Response(status: 204, headers: headers) }
    }

    func respond(
        to request: Request, _ acceptance: Acceptance, _ observation: inout RequestObservation
    ) async -> Response {
        do throws(Problem) {
            let request = try await decoded(request, by: acceptance.coding)
            return observation.identifying(try await acceptance.respond(request, &observation))
        } catch {
            return api.observer.response(to: error, &observation)
        }
    }

    private func decoded(_ request: Request, by coding: ContentCoding?) async throws(Problem) -> Request {
        guard let coding, !request.bytes.isEmpty else { return request }
        do throws(ContentCodingError) {
            return try await decompressors.run { () throws(ContentCodingError) in try request.decoded(by: coding) }
        } catch {
            if error == .noMemory { api.observer.refusedForMemory() }
            throw Problem(error)
        }
    }

    func response(to refusal: TransportRefusal, _ observation: inout RequestObservation) -> Response {
        if refusal == .memoryIsFull { api.observer.refusedForMemory() }
        let problem = Problem(
            ProblemCode(transportStatus: refusal.status), refusal.reason,
            headers: refusal.status == 503 ? ["Retry-After": "1"] : [:])
        return api.observer.response(to: problem, &observation)
    }

    func ended(_ record: ExchangeRecord, _ observation: RequestObservation) {
        api.observer.ended(record, observation)
    }
}
