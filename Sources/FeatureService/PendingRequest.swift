/// A request that waits for its images.
struct PendingRequest {
    let served: ServedModel
    let deadline: ContinuousClock.Instant?
    var results: [Result<ImageFeatures, ImageFailure>?]
    /// Where the answer of each image that was looked up comes from; empty if answers are not kept.
    var sources: [AnswerSource] = []
    var unfinished: Set<ImageID> = []
    var timings = FeatureTimings()
    /// The times of the request's work; nil if it isn't traced.
    var trace: FeatureTrace?
    let traceObserver: FeatureTrace.Observer?
    var continuation: CheckedContinuation<Result<FeatureResponse, FeatureServiceError>, Never>?

    init(_ plan: RequestPlan, images: Int) {
        served = plan.served
        deadline = plan.deadline
        results = Array(repeating: nil, count: images)
        traceObserver = plan.traceObserver
        trace = traceObserver.map { _ in FeatureTrace() }
    }

    /// Gives the trace to its observer.
    func reportTrace() {
        if let trace { traceObserver?(trace) }
    }
}
