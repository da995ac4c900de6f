import FeatureService
import HTTPServer
import ImagePipeline

/// What the head of a request with images says.
struct ImageCall: Sendable {
    let options: RequestOptions
    /// The options that a form or JSON may also have.
    let optionNames: [RequestOptions.Name]
    let form: ImageForm
    let minimumImages: Int
    let maximumImages: Int
    let formats: ImageFormats
    let resultFormat: ResultFormat
    let deadline: RequestDeadline
}

/// What the head of a request for images from noise says.
struct GenerationCall: Sendable {
    let options: RequestOptions
    /// The options that JSON may also have.
    let optionNames: [RequestOptions.Name]
    /// Whether a body is to be read as JSON.
    let isJSON: Bool
    let deadline: RequestDeadline
}

/// What the head of an inference request says.
struct InferenceCall: Sendable {
    /// The model that the path names.
    let model: ModelRequirement
    /// The length of the JSON at the start of the body, in bytes; nil if all of the body is JSON.
    let jsonLength: Int?
    let deadline: RequestDeadline
}

extension ModelRequirement {
    /// The model that the parameters of a path name.
    fileprivate init(path: [String: String]) { self.init(name: path["model"]!, version: path["version"]) }
}

extension Endpoint<PublicAPI> {
    /// A row for an operation on images, sent as the bytes of one, as a form or as JSON.
    ///
    /// - Parameters:
    ///   - options: those of the query, a form and JSON; `taps` only exists in JSON.
    ///   - minimum: the fewest images of a request; above 1, the body can't be an image itself.
    ///   - maximum: the most images of a request; nil for the listener's limit.
    ///   - results: the forms that results can have, the default first.
    static func images(
        _ name: String, _ path: String, _ traits: EndpointTraits = [], options: [RequestOptions.Name] = [],
        atLeast minimum: Int = 1, atMost maximum: Int? = nil, results: [ResultFormat], statuses: Set<Int>,
        handler: @escaping Handler<ImageCall>
    ) -> Endpoint {
        Endpoint(
            name: name, method: "POST", path: path, parameters: options.filter { $0 != .taps }.map(\.rawValue),
            bodyTypes: minimum > 1 ? ImageForm.severalImagesTypes : ImageForm.mediaTypes, statuses: statuses,
            traits: traits
        ) { api, head, _ throws(Problem) in
            try api.requireOffered(traits)
            let queryOptions = try RequestOptions(head.query, names: options)
            let coding = try ContentCoding.checked(head.headers)
            let types = minimum > 1 ? ImageForm.severalImagesTypes : ImageForm.mediaTypes
            let form = try BodyForm(head.headers, of: types)
            guard minimum == 1 || form != .raw else { throw .severalImagesNeeded(minimum) }
            let resultFormat = try ResultFormat.negotiated(head.headers, offered: results)
            let deadline = try RequestDeadline(head, api.timeout)
            try api.requireRoom(mayBeQuick: queryOptions.namesTaps)
            let call = ImageCall(
                options: queryOptions, optionNames: options, form: try ImageForm(form, head.headers),
                minimumImages: minimum, maximumImages: maximum ?? api.configuration.maximumImages,
                formats: api.service.configuration.imageLimits.formats, resultFormat: resultFormat, deadline: deadline)
            return Acceptance(body: api.body, coding: coding) { request, observation throws(Problem) in
                try await handler(api)(request, call, &observation)
            }
        }
    }

    /// A row for an operation that makes images of nothing but options, in the query or in a body of JSON.
    static func generation(
        _ name: String, _ path: String, _ traits: EndpointTraits, options: [RequestOptions.Name],
        results: [ResultFormat], statuses: Set<Int>, handler: @escaping Handler<GenerationCall>
    ) -> Endpoint {
        Endpoint(
            name: name, method: "POST", path: path, parameters: options.map(\.rawValue),
            bodyTypes: ["application/json"], statuses: statuses, traits: traits
        ) { api, head, _ throws(Problem) in
            try api.requireOffered(traits)
            let queryOptions = try RequestOptions(head.query, names: options)
            let coding = try ContentCoding.checked(head.headers)
            let form = try BodyForm(head.headers, of: ["application/json"])
            _ = try ResultFormat.negotiated(head.headers, offered: results)
            let deadline = try RequestDeadline(head, api.timeout)
            try api.requireRoom()
            let call = GenerationCall(
                options: queryOptions, optionNames: options, isJSON: form == .json, deadline: deadline)
            let body = BodyPolicy.memory(maximumBytes: min(1 << 16, api.configuration.maximumBodyBytes))
            return Acceptance(body: body, coding: coding) { request, observation throws(Problem) in
                try await handler(api)(request, call, &observation)
            }
        }
    }

    /// A row for an operation on tensors, sent as JSON that tensors in binary may follow.
    static func inference(
        _ name: String, _ path: String, statuses: Set<Int>, handler: @escaping Handler<InferenceCall>
    ) -> Endpoint {
        Endpoint(
            name: name, method: "POST", path: path, bodyTypes: ["application/json", "application/octet-stream"],
            statuses: statuses, errors: .openInference
        ) { api, head, path throws(Problem) in
            _ = try QueryParameters(head.query, known: [])
            let coding = try ContentCoding.checked(head.headers)
            try InferenceRequest.requireNoForm(head.headers)
            let call = InferenceCall(
                model: ModelRequirement(path: path), jsonLength: try InferenceRequest.headerLength(head.headers),
                deadline: try RequestDeadline(head, api.timeout))
            try api.requireRoom()
            return Acceptance(body: api.body, coding: coding) { request, observation throws(Problem) in
                try await handler(api)(request, call, &observation)
            }
        }
    }

    /// A row for an operation whose body is JSON and nothing else. Its handler receives the deadline.
    static func json(
        _ name: String, _ path: String, errors: ErrorFormat, statuses: Set<Int>,
        handler: @escaping Handler<RequestDeadline>
    ) -> Endpoint {
        Endpoint(
            name: name, method: "POST", path: path, bodyTypes: ["application/json"], statuses: statuses, errors: errors
        ) { api, head, _ throws(Problem) in
            _ = try QueryParameters(head.query, known: [])
            let coding = try ContentCoding.checked(head.headers)
            guard try BodyForm(head.headers, of: ["application/json"]) == .json else { throw .jsonNeeded }
            let deadline = try RequestDeadline(head, api.timeout)
            try api.requireRoom()
            return Acceptance(body: api.body, coding: coding) { request, observation throws(Problem) in
                try await handler(api)(request, deadline, &observation)
            }
        }
    }

    /// A row for a document of the program.
    static func document(_ name: String, _ path: String, _ document: PublicDocument) -> Endpoint {
        Endpoint(name: name, method: "GET", path: path, statuses: [200], traits: .open) { _, head, _ throws(Problem) in
            _ = try QueryParameters(head.query, known: [])
            let response = document.response(to: head.headers)
            return Acceptance(body: .memory(maximumBytes: 0)) { _, _ in response }
        }
    }

    /// A row for what the inference protocol tells of a model, if the model that the path names serves.
    static func ofModel(
        _ name: String, _ path: String, _ traits: EndpointTraits = [],
        answer: @escaping @Sendable (PublicAPI) -> @Sendable (ServedModel) async throws(Problem) -> Response
    ) -> Endpoint {
        .read(name, path, traits, errors: .openInference, statuses: [200, 401, 404, 429, 503]) {
            api, path throws(Problem) in
            try await answer(api)(try await api.servedModel(ModelRequirement(path: path)))
        }
    }
}

extension PublicAPI {
    fileprivate var body: BodyPolicy { .memory(maximumBytes: configuration.maximumBodyBytes) }

    /// Refuses an operation that is turned off.
    ///
    /// - Throws: 404.
    fileprivate func requireOffered(_ traits: EndpointTraits) throws(Problem) {
        guard !traits.contains(.makesImages) || configuration.hasGeneration else {
            throw Problem(
                .notFound, "making images is turned off; the operator can start the service without --no-generation")
        }
    }

    /// Refuses a request before its body is sent if the service would refuse it afterwards.
    ///
    /// - Parameter mayBeQuick: whether it names taps, which may take less than the default embedding.
    /// - Throws: 503 if there is too much work ahead, or the service doesn't serve.
    fileprivate func requireRoom(mayBeQuick: Bool = false) throws(Problem) {
        if let refusal = service.refusal(mayBeQuick: mayBeQuick) { throw Problem(refusal) }
    }
}
