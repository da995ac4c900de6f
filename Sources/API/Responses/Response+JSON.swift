import HTTPServer
import ImagePipeline
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
    /// The answer to `GET /version` of the public listener.
    var response: Response { .json { write(to: &$0) } }

    /// The answer to `GET /version` of the admin listener, which also names the libraries that decode images.
    func response(_ formats: ImageFormats) -> Response {
        .json { json in
            write(to: &json)
            json.object("decoders") { json in
                for library in formats.libraries { json.member(named: library.name) { $0.string(library.version) } }
            }
        }
    }

    private func write(to json: inout JSONWriter) {
        json.member("name", "headwater")
        json.member("version", version)
        json.member("commit", commit)
    }
}
