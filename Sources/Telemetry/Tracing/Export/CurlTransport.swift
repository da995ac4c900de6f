import CCurl
private import Dispatch

/// Posts to a collector through libcurl, which is loaded when the first transport is made.
package final class CurlTransport: SpanTransport {
    /// The system has no libcurl.
    package struct Unavailable: Error {}

    /// The client's address. Only the queue uses it.
    private let bits: UInt
    private let queue = DispatchQueue(label: "headwater.traces", qos: .utility)

    /// - Parameters:
    ///   - url: where to post, by http or https.
    ///   - userAgent: what the collector is told of the sender.
    package init(url: String, userAgent: String) throws(Unavailable) {
        guard let client = curl_client_make(url, userAgent) else { throw Unavailable() }
        bits = UInt(bitPattern: client)
    }

    deinit { curl_client_free(UnsafeMutableRawPointer(bitPattern: bits)!) }

    package func post(_ document: [UInt8], timeout: Duration) async -> CollectorAnswer {
        // On a thread of Dispatch, as it blocks.
        await withCheckedContinuation { continuation in
            queue.async { [self] in continuation.resume(returning: postAndWait(document, timeout: timeout)) }
        }
    }

    private func postAndWait(_ document: [UInt8], timeout: Duration) -> CollectorAnswer {
        var answer = curl_answer()
        // For libcurl, 0 is no limit.
        let milliseconds = max(1, Int(timeout / .milliseconds(1)))
        curl_client_post(
            UnsafeMutableRawPointer(bitPattern: bits)!, document, document.count, milliseconds, &answer)
        guard answer.status != 0 else {
            return .unreachable(withUnsafeBytes(of: &answer.failure) { Self.text($0.prefix { $0 != 0 }) })
        }
        let body = withUnsafeBytes(of: &answer.body) { Array($0.prefix(answer.body_length)) }
        return .answered(
            status: answer.status, retryAfter: answer.retry_after > 0 ? .seconds(answer.retry_after) : nil, body: body)
    }

    private static func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}
