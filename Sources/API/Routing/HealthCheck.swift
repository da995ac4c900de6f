import FeatureService
import HTTPServer

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
