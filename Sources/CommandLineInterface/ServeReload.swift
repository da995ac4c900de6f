import API
import Arguments
import FeatureService
import HTTPServer
import Telemetry

/// What `headwater serve` does at SIGHUP: it reads its files again. Each is replaced whole or not at all, whatever becomes
/// of the others.
struct ServeReload: Sendable {
    let arguments: ParsedArguments
    let server: Server
    let publicAPI: PublicAPI
    let adminAPI: AdminAPI
    let checkpoints: CheckpointManager
    let metrics: ServiceMetrics
    let logger: Logger

    /// Reads everything that was configured again: certificate, keys, token, and the model if its file has changed, which takes
    /// longest, last.
    func run() async {
        await reload(.certificate) {
            guard let identity = try ServeOptions.identity(arguments) else { return nil }
            return try server.replaceIdentity(identity)
        }
        await reload(.apiKeys) { try ServeOptions.publicKeys(arguments).map { publicAPI.replaceKeys($0) } }
        await reload(.adminToken) { try ServeOptions.token(arguments).map { adminAPI.replaceToken($0) } }
        await reload(.model) { try await checkpoints.reload()?.value.get() == .activated }
        do {
            try warnOfGuessableKeys()
        } catch {
            // Told above: the files can't be read.
        }
    }

    /// Warns of keys that can be found by trying.
    func warnOfGuessableKeys() throws {
        let files = [
            (try arguments[ServeOptions.apiKeys], try ServeOptions.publicKeys(arguments)),
            (try arguments[ServeOptions.adminToken], try ServeOptions.token(arguments).map { [$0] }),
        ]
        for case (let path?, let keys?) in files where ServeOptions.areGuessable(keys) {
            logger.warning(
                "guessable key",
                [
                    "file": .string(path),
                    "detail": "it holds a key of fewer than 16 characters; openssl rand -hex 32 makes a good one",
                ])
        }
    }

    /// Does one part, and tells how it went. `replace` returns whether it changed; nil if there is nothing of the kind.
    private func reload(_ part: ReloadedPart, _ replace: () async throws -> Bool?) async {
        do {
            guard let isChanged = try await replace() else { return }
            let outcome = isChanged ? ReloadOutcome.changed : .unchanged
            metrics.reloaded(part, outcome)
            var fields: LogFields = ["what": .string(part.rawValue), "outcome": .string(outcome.rawValue)]
            if part == .certificate, let expiry = server.counters.certificateExpiry {
                fields["expires"] = .string(Timestamp(millisecondsSinceEpoch: expiry * 1000).iso8601)
            }
            logger.info("reloaded", fields)
        } catch {
            metrics.reloaded(part, .failed)
            logger.error(
                "not reloaded; the previous content stays in use",
                ["what": .string(part.rawValue), "reason": .string("\(error)")])
        }
    }
}
