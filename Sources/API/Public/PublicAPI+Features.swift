import FeatureService
import HTTPServer
import Synchronization

/// The operations on images.
extension PublicAPI {
    /// `POST /embed`.
    func embed(
        _ request: Request, _ call: ImageCall, _ observation: inout RequestObservation
    ) async throws(Problem) -> Response {
        let format = call.resultFormat
        let posted = try await images(of: request, call)
        let options = posted.options
        guard format == .json || options.encoding == nil else {
            throw Problem(.invalidParameter, "encoding is for JSON results; a NumPy array is binary already")
        }
        let selection = try options.selection()
        let tapCount = selection.count
        guard format == .json || tapCount == 1 else {
            throw Problem(
                .invalidParameter, "several taps don't fit into one array; request one tap, or application/json")
        }
        guard tapCount * posted.images.count <= RequestOptions.maximumTapsOfAllImages else {
            throw Problem(
                .invalidParameter,
                "\(tapCount) taps of \(posted.images.count) images are more than "
                    + "\(RequestOptions.maximumTapsOfAllImages); send fewer images at a time")
        }
        let results = try await features(
            posted, FeatureRequest(selection), call,
            request.memory(bytesPerNumber: (options.encoding ?? .float).bytesPerNumber), &observation)
        let normalization = options.normalization ?? .none
        let encoding = options.encoding ?? .float
        return try await written(results) { () throws(Problem) in
            switch format {
            case .json: try results.embeddings(normalization: normalization, encoding: encoding)
            case .npy: try results.embeddingsArray(normalization: normalization)
            }
        }
    }

    /// `POST /classify`.
    func classify(
        _ request: Request, _ call: ImageCall, _ observation: inout RequestObservation
    ) async throws(Problem) -> Response {
        let posted = try await images(of: request, call)
        let results = try await features(posted, FeatureRequest(wantsLogits: true), call, nil, &observation)
        return try await written(results) { () throws(Problem) in try results.classes(top: posted.options.top) }
    }

    /// `POST /trajectory`.
    func trajectory(
        _ request: Request, _ call: ImageCall, _ observation: inout RequestObservation
    ) async throws(Problem) -> Response {
        let posted = try await images(of: request, call)
        let results = try await features(
            posted, FeatureRequest(.roundTrip(atMost: RoundTrip.maximumStates)), call, request.memoryOfPictures,
            &observation)
        return try await written(results) { () throws(Problem) in try results.roundTrip() }
    }

    func images(of request: Request, _ call: ImageCall) async throws(Problem) -> PostedImages {
        let parse = { @Sendable [limit = configuration.maximumBodyBytes] () throws(Problem) in
            try PostedImages(request.bytes, call, maximumPartBytes: limit)
        }
        // There is nothing to read in a raw body: it is the image.
        if case .raw = call.form { return try parse() }
        return try await workers.run(parse)
    }

    /// Computes features of posted images.
    ///
    /// - Parameter memory: what the numbers may take; nil where they are few.
    /// - Throws: the problem of a single image; the failures of one among several are written in their places.
    private func features(
        _ posted: PostedImages, _ wanted: FeatureRequest, _ call: ImageCall, _ memory: AnswerMemory?,
        _ observation: inout RequestObservation
    ) async throws(Problem) -> FeatureResults {
        var wanted = wanted
        wanted.deadline = call.deadline.instant()
        wanted.memory = memory
        return try await features(posted.images.map { .encoded($0) }, wanted, &observation).unlessSingleFailure()
    }

    func features(
        _ inputs: [FeatureInput], _ wanted: FeatureRequest, _ observation: inout RequestObservation
    ) async throws(Problem) -> FeatureResults {
        var wanted = wanted
        let trace = Mutex<FeatureTrace?>(nil)
        if observation.isTraced { wanted.traceObserver = { observed in trace.withLock { $0 = observed } } }
        defer { if let trace = trace.withLock({ $0 }) { observation.traces.append(trace) } }
        let response: FeatureResponse
        do throws(FeatureServiceError) {
            response = try await service.features(of: inputs, wanted)
        } catch {
            throw Problem(error)
        }
        observer.computed(response, &observation)
        return FeatureResults(
            response: response, timings: observation.features?.timings ?? response.timings,
            requestID: observation.id.description)
    }

    /// Writes results on the calling thread, or on a worker if there are many numbers: a request should take at most a
    /// millisecond of the cooperative pool's time.
    func written(
        _ results: FeatureResults, _ write: @escaping @Sendable () throws(Problem) -> Response
    ) async throws(Problem) -> Response {
        let start = ContinuousClock.now
        defer {
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            service.tally.wrote(by: results.response.served.version, seconds: seconds)
        }
        guard results.numberCount > 8192 else { return try write() }
        return try await workers.run(write)
    }
}

extension Request {
    /// For embeddings that a client chooses.
    ///
    /// - Parameter bytesPerNumber: what a number takes as it is written.
    func memory(bytesPerNumber: Int = VectorEncoding.float.bytesPerNumber) -> AnswerMemory {
        memory(bytesPerNumber: bytesPerNumber, atMost: AnswerMemory.maximumNumbersOfEmbeddings)
    }

    /// For states that are written as pictures, in base64. Other limits say how many there are.
    var memoryOfPictures: AnswerMemory { memory(bytesPerNumber: 2, atMost: .max) }

    /// An answer that could never have its memory is refused for good, not until there is less to do.
    private func memory(bytesPerNumber: Int, atMost limit: Int) -> AnswerMemory {
        let bytes = MemoryLayout<Float>.size + bytesPerNumber
        return AnswerMemory(maximumNumbers: min(limit, memoryLimit / bytes)) { [takeMemory] in takeMemory($0 * bytes) }
    }
}
