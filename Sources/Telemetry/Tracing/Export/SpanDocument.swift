import JSON

/// Spans as OpenTelemetry's protocol has them: an `ExportTraceServiceRequest` in JSON.
///
/// Its form in protobuf would be half as long. JSON was chosen since it needs no second encoder, can be read in a failure's
/// report, and is accepted by collectors on the same port.
package struct SpanDocument: Sendable {
    private let service: String
    private let version: String

    package init(service: String, version: String) {
        self.service = service
        self.version = version
    }

    /// The document of some spans.
    package func bytes(of spans: [Span]) -> [UInt8] {
        var json = JSONWriter(capacity: 1024 + 700 * spans.count)
        json.object { json in
            json.array("resourceSpans", of: [spans]) { json, spans in
                json.object { json in
                    json.object("resource") { json in
                        Self.write(["service.name": .string(service), "service.version": .string(version)], &json)
                    }
                    json.array("scopeSpans", of: [spans]) { json, spans in
                        json.object { json in
                            json.object("scope") { json in
                                json.member("name", service)
                                json.member("version", version)
                            }
                            json.array("spans", of: spans) { Self.write($1, &$0) }
                        }
                    }
                }
            }
        }
        return json.bytes
    }

    private static func write(_ span: Span, _ json: inout JSONWriter) {
        json.object { json in
            json.member("traceId", span.context.traceID)
            json.member("spanId", span.context.spanID)
            if let parent = span.parent { json.member("parentSpanId", parent.context.spanID) }
            json.member("flags", flags(of: span))
            json.member("name", span.name)
            json.member("kind", span.kind.rawValue)
            // Numbers of 64 bits are strings in protobuf's JSON.
            json.member("startTimeUnixNano", String(span.start))
            json.member("endTimeUnixNano", String(span.end))
            write(span.attributes, &json)
            if let failure = span.failure {
                json.object("status") { json in
                    json.member("message", failure)
                    json.member("code", 2)
                }
            }
        }
    }

    /// The trace's flags, and whether the parent is another process's: bit 8 says that bit 9 means it.
    private static func flags(of span: Span) -> Int {
        Int(span.context.flags) | 0x100 | (span.parent?.isRemote == true ? 0x200 : 0)
    }

    private static func write(_ attributes: LogFields, _ json: inout JSONWriter) {
        json.array("attributes", of: attributes.pairs) { json, attribute in
            json.object { json in
                json.member("key", attribute.name)
                json.object("value") { json in
                    switch attribute.value {
                    case .string(let text): json.member("stringValue", text)
                    case .int64(let integer): json.member("intValue", String(integer))
                    case .boolean(let boolean): json.member("boolValue", boolean)
                    case .number(let number):
                        do { try json.member("doubleValue", number) } catch {
                            json.member("doubleValue", Self.name(ofNonFinite: number))
                        }
                    }
                }
            }
        }
    }

    /// What protobuf's JSON calls a number that JSON can't express.
    private static func name(ofNonFinite number: Double) -> String {
        number.isNaN ? "NaN" : number > 0 ? "Infinity" : "-Infinity"
    }
}
