import FeatureService
import HTTPServer

/// The operations of the Open Inference Protocol.
extension PublicAPI {
    /// The model that a path names, if it serves.
    ///
    /// - Throws: 404, or 503 while no model is loaded.
    func servedModel(_ route: Route<PublicEndpoint>) async throws(Problem) -> ServedModel {
        guard let served = await service.active else { throw .starting }
        guard route.model.isMet(by: served.version) else { throw .unknownModel(serving: served.version) }
        return served
    }

    /// Tells whether the model that a path names would serve the next request.
    func modelReadiness(_ route: Route<PublicEndpoint>) async throws(Problem) -> Response {
        let served = try await servedModel(route)
        _ = try HealthCheck.ready.response(await service.status())
        return InferenceDescription.ready(served)
    }

    /// Describes how the model that a path names is configured.
    func modelConfiguration(_ route: Route<PublicEndpoint>) async throws(Problem) -> Response {
        let served = try await servedModel(route)
        return InferenceDescription.configuration(
            served, service: service.configuration, maximumImages: configuration.maximumImages)
    }

    /// What models have done since they first served.
    func statistics(of models: [ServedModel]) -> Response {
        InferenceDescription.statistics(models.map { ($0.version, service.tally.statistics(of: $0.version)) })
    }

    /// Answers an inference request.
    func infer(
        _ request: Request, _ route: Route<PublicEndpoint>, _ account: RequestAccount
    ) async throws(Problem) -> Response {
        let side = try await servedModel(route).model.side
        let limits = InferenceRequest.Limits(maximumImages: configuration.maximumImages, side: side)
        let headerLength = try InferenceRequest.headerLength(request.head.headers)
        let body = request.bytes
        let parsed = try await workers.run {
            Result { () throws(Problem) in try InferenceRequest(body, headerLength: headerLength, limits: limits) }
        }.get()
        // The model may be another one by now; the service checks again.
        let results = try await features(
            parsed.inputs, try parsed.features(model: route.model), request.head, account, within: parsed.timeout)
        return try await written(results) { () throws(Problem) in try results.inference(parsed) }
    }
}

extension Route<PublicEndpoint> {
    /// The model that the path names.
    fileprivate var model: ModelRequirement {
        ModelRequirement(name: self["model"], version: parameters["version"])
    }
}
