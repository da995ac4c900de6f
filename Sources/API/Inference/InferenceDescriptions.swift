import FeatureService
import HTTPServer
import JSON

/// The documents of the Open Inference Protocol that describe server and model.
enum InferenceDescription {
    /// The extensions of the public listener, by the names that Triton gives them.
    private static let extensions = [
        "binary_tensor_data", "classification", "model_configuration", "parameters", "schedule_policy", "statistics",
    ]

    /// `GET /v2`. The extensions are those of the listener that answers it.
    static func server(version: String) -> Response {
        .json { json in
            json.member("name", "headwater")
            json.member("version", version)
            json.member("extensions", extensions)
        }
    }

    /// `GET /v2/models/{model}`. Both inputs are listed although a request gives one of them: the protocol has no
    /// way to state alternatives.
    static func model(_ served: ServedModel) -> Response {
        let side = served.model.side
        return .json { json in
            json.member("name", served.version.name)
            json.member("versions", [served.version.label])
            json.member("platform", "headwater")
            json.array(
                "inputs", of: [("image", TensorDatatype.bytes, [-1]), ("pixels", .fp32, [-1, 3, side, side])]
            ) { tensor($1.0, $1.1, $1.2, &$0) }
            json.array("outputs", of: outputs(of: served)) { tensor($1.0.rawValue, .fp32, [-1, $1.1], &$0) }
        }
    }

    /// The outputs that a model has, each with its length for one image; -1 if the length depends on the request.
    static func outputs(of served: ServedModel) -> [(InferenceOutput, Int)] {
        let classes = served.configuration.head?.classes
        return [(.embedding, -1)] + (classes.map { [(.logits, $0), (.probabilities, $0)] } ?? [])
    }

    /// `GET /v2/models/{model}/ready`.
    static func ready(_ served: ServedModel) -> Response {
        .json { json in
            json.member("name", served.version.name)
            json.member("ready", true)
        }
    }

    private static func tensor(_ name: String, _ datatype: TensorDatatype, _ shape: [Int], _ json: inout JSONWriter) {
        json.object { json in
            json.member("name", name)
            json.member("datatype", datatype.rawValue)
            json.member("shape", shape)
        }
    }
}
