import FeatureService
import Telemetry

/// Logs every attempt to change the model, with its action, source and client, and counts how it ends.
package struct CheckpointLog: Sendable {
    private let metrics: ServiceMetrics
    private let logger: Logger

    package init(metrics: ServiceMetrics, logger: Logger) {
        self.metrics = metrics
        self.logger = logger
    }

    /// An attempt begins, which may take minutes for a large model.
    package func began(_ attempt: CheckpointAttempt) { logger.info("checkpoint loading", Self.fields(attempt)) }

    package func ended(_ report: CheckpointReport) {
        metrics.checkpointEnded(report.outcome)
        var fields = Self.fields(report.attempt)
        Self.name(report.version, in: &fields, as: "")
        switch report.result {
        case .success(let outcome):
            Self.name(report.previous, in: &fields, as: "previous_")
            logger.info("checkpoint \(outcome.rawValue)", fields)
        case .failure(let failure):
            fields["phase"] = .string(failure.phase.rawValue)
            fields["reason"] = .string(failure.reason)
            Self.name(report.previous, in: &fields, as: "serving_")
            logger.error("checkpoint failed", fields)
        }
    }

    /// A request asked for a change that was refused before it began.
    func refused(_ action: CheckpointAttempt.Action, _ problem: Problem, client: CheckpointAttempt.Client) {
        logger.warning(
            "checkpoint refused",
            [
                "action": .string(action.rawValue), "code": .string(problem.code.rawValue),
                "reason": .string(problem.detail), "client": .string(client.address),
                "request_id": .string(client.requestID),
            ])
    }

    private static func fields(_ attempt: CheckpointAttempt) -> LogFields {
        var fields: LogFields = [
            "action": .string(attempt.action.rawValue), "source": .string(attempt.source.description),
        ]
        if let client = attempt.client {
            fields["client"] = .string(client.address)
            fields["request_id"] = .string(client.requestID)
        }
        return fields
    }

    private static func name(_ version: ModelVersion?, in fields: inout LogFields, as prefix: String) {
        guard let version else { return }
        fields[prefix + "model"] = .string(version.name)
        fields[prefix + "version"] = .string(version.label)
    }
}
