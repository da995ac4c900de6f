import FeatureService
import FoundationEssentials
import HTTPServer
import JSON
import Telemetry
import UntrustedText

extension CheckpointStatus {
    /// The document of `GET /admin/checkpoint`.
    func response(status: Int) -> Response {
        .json(status: status) { json in
            Self.write("active", active, &json, Self.write)
            Self.write("previous", previous, &json, Self.write)
            Self.write("loading", loading, &json) { loading, json in
                json.member("source", loading.source.description)
                json.member("phase", loading.phase.rawValue)
                json.member("since", loading.since.iso8601)
            }
            Self.write("lastError", lastError, &json) { error, json in
                json.member("source", error.source.description)
                json.member("phase", error.phase.rawValue)
                json.member("reason", error.reason)
                json.member("time", error.time.iso8601)
            }
        }
    }

    /// Writes a member that is an object, or null without a value.
    private static func write<Value>(
        _ name: StaticString, _ value: Value?, _ json: inout JSONWriter, _ members: (Value, inout JSONWriter) -> Void
    ) {
        guard let value else { return json.null(name) }
        json.object(name) { members(value, &$0) }
    }

    private static func write(_ record: CheckpointRecord, _ json: inout JSONWriter) {
        json.member("name", record.version.name)
        json.member("version", record.version.label)
        json.member("sha256", record.version.sha256)
        json.member("source", record.source.description)
        json.member("byteCount", record.byteCount)
        json.member("since", record.since.iso8601)
        json.member("images", record.images)
    }
}

extension Date {
    fileprivate var iso8601: String {
        Timestamp(millisecondsSinceEpoch: Int64((timeIntervalSince1970 * 1000).rounded())).iso8601
    }
}

extension Problem {
    /// Why a load failed.
    init(_ failure: CheckpointFailure) {
        let code: ProblemCode =
            switch failure.cause {
            case .checkpoint, .unreadable: .checkpointRejected
            case .memory: .insufficientMemory
            case .storage: .insufficientStorage
            }
        self.init(code, Self.detail(of: failure))
    }

    /// Problems name no paths outside the model directory.
    private static func detail(of failure: CheckpointFailure) -> String {
        guard case .configured(let path) = failure.source else { return "\(failure)" }
        return "the configured model, \(failure.phase.rawValue): \(failure.reason.replacing(path, with: "its file"))"
    }

    /// Why a load has not begun.
    init(_ refusal: CheckpointRefusal) {
        switch refusal {
        case .busy:
            self.init(
                .checkpointBusy, "another checkpoint is being loaded; GET /admin/checkpoint shows its progress",
                headers: ["Retry-After": "5"])
        case .noDirectory:
            self.init(.noModelDirectory, "the service has no model directory; start it with --model-directory")
        case .outside(let path):
            self.init(.pathForbidden, "\"\(shown(path, atMost: 200))\" is not a path inside the model directory")
        case .notFound(let path):
            self.init(.checkpointNotFound, "the model directory has no regular file \"\(shown(path, atMost: 200))\"")
        case .malformedDigest: self.init(.invalidParameter, "sha256 must be 64 hexadecimal digits")
        case .noPrevious: self.init(.noPreviousCheckpoint, "no other model has served since the service started")
        case .upload(let reason): self.init(.internalError, "the upload can't be stored: \(reason)")
        }
    }
}
