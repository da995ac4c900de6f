import HTTPServer
import JSON
import Telemetry

extension Response {
    static func json(status: Int = 200, _ members: (inout JSONWriter) -> Void) -> Response {
        var json = JSONWriter()
        json.object { members(&$0) }
        return Response(status: status, headers: ["Content-Type": "application/json"], body: json.bytes)
    }
}

extension BuildInformation {
    /// The answer to `GET /version`, which both listeners give.
    var response: Response {
        .json { json in
            json.member("name", "headwater")
            json.member("version", version)
            json.member("commit", commit)
        }
    }
}
