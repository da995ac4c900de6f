import FeatureService
import HTTPServer
import JSON

/// The documents of Triton's extensions of the Open Inference Protocol for a model's configuration and statistics.
extension InferenceDescription {
    /// `GET /v2/models/{model}/config`: the fields of Triton's model configuration that have a meaning here. Shapes are those
    /// of one image, as in Triton for models with a `max_batch_size`. Both inputs are optional, since a request gives either.
    static func configuration(
        _ served: ServedModel, service: FeatureServiceConfiguration, maximumImages: Int
    ) -> Response {
        let side = served.model.side
        return .json { json in
            json.member("name", served.version.name)
            json.member("platform", "headwater")
            json.member("backend", "headwater")
            json.object("version_policy") { $0.object("latest") { $0.member("num_versions", 1) } }
            json.member("max_batch_size", maximumImages)
            json.array(
                "input",
                of: [
                    ("image", "TYPE_STRING", "FORMAT_NONE", []),
                    ("pixels", "TYPE_FP32", "FORMAT_NCHW", [3, side, side]),
                ]
            ) { json, input in
                json.object { json in
                    json.member("name", input.0)
                    json.member("data_type", input.1)
                    json.member("format", input.2)
                    json.member("dims", input.3)
                    json.member("optional", true)
                }
            }
            json.array("output", of: outputs(of: served)) { json, output in
                json.object { json in
                    json.member("name", output.0.rawValue)
                    json.member("data_type", "TYPE_FP32")
                    json.member("dims", [output.1])
                }
            }
            json.array("instance_group", of: [served.version.name]) { json, name in
                json.object { json in
                    json.member("name", name)
                    json.member("kind", "KIND_CPU")
                    json.member("count", 1)
                }
            }
            json.object("dynamic_batching") { json in
                json.member("preferred_batch_size", [service.batchLimit])
                json.member("max_queue_delay_microseconds", 0)
            }
            json.object("response_cache") { $0.member("enable", service.cacheBytes > 0) }
            json.object("parameters") { json in
                json.object("sha256") { $0.member("string_value", served.version.sha256) }
                json.object("precision") { $0.member("string_value", served.model.precision.rawValue) }
            }
        }
    }

    /// `GET /v2/models/{model}/stats` and `/v2/models/stats`. An execution is a step, one evaluation of the network, in which
    /// images of several requests take part, and an image takes part in several.
    static func statistics(_ models: [(ModelVersion, ModelStatistics)]) -> Response {
        .json { json in
            json.array("model_stats", of: models) { json, model in
                json.object { write(model.0, model.1, &$0) }
            }
        }
    }

    private static func write(_ version: ModelVersion, _ model: ModelStatistics, _ json: inout JSONWriter) {
        json.member("name", version.name)
        json.member("version", version.label)
        json.member("last_inference", Int((model.lastAnswer?.timeIntervalSince1970 ?? 0) * 1000))
        json.member("inference_count", model.images)
        json.member("execution_count", model.steps.values.reduce(0) { $0 + $1.count })
        json.object("inference_stats") { json in
            write("success", model.succeeded, &json)
            write("fail", model.failed, &json)
            write("queue", model.queued, &json)
            write("compute_input", model.decoded, &json)
            write("compute_infer", model.computed, &json)
            write("compute_output", model.written, &json)
            write("cache_hit", model.cacheHits, &json)
            write("cache_miss", model.cacheMisses, &json)
        }
        json.array("batch_stats", of: model.steps.sorted { $0.key < $1.key }) { json, step in
            json.object { json in
                json.member("batch_size", step.key)
                // Decoding and writing are no part of a step.
                write("compute_input", .init(), &json)
                write("compute_infer", step.value, &json)
                write("compute_output", .init(), &json)
            }
        }
    }

    private static func write(_ name: StaticString, _ total: ModelStatistics.Total, _ json: inout JSONWriter) {
        json.object(name) { json in
            json.member("count", total.count)
            json.member("ns", total.nanoseconds)
        }
    }
}
