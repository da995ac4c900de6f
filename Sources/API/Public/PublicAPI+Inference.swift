import FeatureService
import HTTPServer

/// The operations of the Open Inference Protocol.
extension PublicAPI {
    /// The model that a request names, if it serves.
    ///
    /// - Throws: 404, or 503 while no model is loaded.
    func servedModel(_ model: ModelRequirement) async throws(Problem) -> ServedModel {
        guard let served = await service.active else { throw .starting }
        guard model.isMet(by: served.version) else { throw .unknownModel(serving: served.version) }
        return served
    }

    /// Tells whether a model would serve the next request.
    func readiness(of served: ServedModel) async throws(Problem) -> Response {
        _ = try HealthCheck.ready.response(await service.status())
        return InferenceDescription.ready(served)
    }

    func inferenceConfiguration(of served: ServedModel) -> Response {
        InferenceDescription.configuration(
            served, service: service.configuration, maximumImages: configuration.maximumImages)
    }

    /// What models have done since they first served.
    func statistics(of models: [ServedModel]) -> Response {
        InferenceDescription.statistics(models.map { ($0.version, service.tally.statistics(of: $0.version)) })
    }

    /// `POST /v2/models/{model}/infer`, also of a version.
    func infer(
        _ request: Request, _ call: InferenceCall, _ observation: inout RequestObservation
    ) async throws(Problem) -> Response {
        let side = try await servedModel(call.model).model.side
        let limits = InferenceRequest.Limits(maximumImages: configuration.maximumImages, side: side)
        let body = request.bytes
        let parsed = try await workers.run { () throws(Problem) in
            try InferenceRequest(body, headerLength: call.jsonLength, limits: limits)
        }
        // The model may be another one by now; the service checks again.
        var wanted = try parsed.features(model: call.model)
        wanted.deadline = call.deadline.instant(within: parsed.document.timeout)
        wanted.memory = request.memory()
        let results = try await features(parsed.inputs, wanted, &observation)
        return try await written(results) { () throws(Problem) in try results.inference(parsed) }
    }
}
