/// What keeps a request out.
package enum AdmissionLimit: String, Sendable, CaseIterable {
    /// As many images wait as memory is granted for.
    case images
    /// The work ahead takes as long as a request may be made to wait.
    case wait
    /// Bodies and answers take the memory that is granted for them.
    case memory
}

/// Why a request is not admitted, and when to ask again.
struct AdmissionRefusal: Sendable, Equatable {
    let limit: AdmissionLimit
    /// Whole seconds after which it will be let in at the present rate, 1 to 600.
    let retryAfter: Int

    init(_ limit: AdmissionLimit, after seconds: Double) {
        self.limit = limit
        retryAfter = Int(min(600, max(1, seconds.rounded(.up))))
    }
}

/// Decides who is admitted. A pure value.
///
/// What counts is the work *ahead* of a request: an image with little to compute doesn't wait for all of the longer ones. A
/// request's own work doesn't count. An idle service therefore admits every request, even one that takes longer than `waitLimit`
/// or has more than `imageLimit` images. Otherwise such a request would be told to try again and never be admitted.
struct AdmissionPolicy: Sendable, Equatable {
    let imageLimit: Int
    /// Most seconds of work ahead of a request; nil for any.
    let waitLimit: Double?

    /// Whether a request of `count` images, of `work` operations each, is kept out, while `waiting` images wait and `backlog` is to
    /// be done.
    func refusal(of count: Int, work: Double, waiting: Int, _ backlog: Backlog) -> AdmissionRefusal? {
        let ahead = backlog.seconds(aheadOf: work)
        if let waitLimit, ahead > waitLimit { return AdmissionRefusal(.wait, after: ahead - waitLimit) }
        guard waiting > 0, waiting + count > imageLimit else { return nil }
        // It is let in once enough of those ahead have begun, and for a request of more than the limit all.
        let excess = min(waiting, waiting + count - imageLimit)
        return AdmissionRefusal(.images, after: ahead * Double(excess) / Double(max(1, backlog.imageCount)))
    }
}
