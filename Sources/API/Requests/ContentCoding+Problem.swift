import HTTPServer

extension ContentCoding {
    /// The coding of a request's body; nil if it has none.
    ///
    /// - Throws: 415 for a coding that isn't known and for several, with the header that names the known ones.
    static func checked(_ headers: HTTPHeaders) throws(Problem) -> ContentCoding? {
        do throws(ContentCodingError) {
            return try ContentCoding(headers)
        } catch {
            throw Problem(error)
        }
    }

    /// Refuses any coding, for bodies that are stored unchanged.
    ///
    /// - Throws: 415.
    static func requireNone(_ headers: HTTPHeaders) throws(Problem) {
        do throws(ContentCodingError) {
            guard try ContentCoding(headers) != nil else { return }
        } catch {}
        throw Problem(
            .unsupportedMediaType, "this endpoint stores the body unchanged; send it without Content-Encoding",
            headers: ["Accept-Encoding": "identity"])
    }
}

extension Problem {
    /// Why a compressed body can't be read.
    init(_ error: ContentCodingError) {
        let code: ProblemCode
        var headers: HTTPHeaders = [:]
        switch error {
        case .unknownCoding, .severalCodings:
            code = .unsupportedMediaType
            // RFC 9110, 15.5.16.
            headers["Accept-Encoding"] = ContentCoding.allCases.map(\.rawValue).joined(separator: ", ")
        case .truncated, .corrupt, .needsDictionary, .trailingBytes: code = .malformedBody
        case .tooLarge, .tooCompressed: code = .bodyTooLarge
        case .noMemory:
            code = .unavailable
            headers["Retry-After"] = "1"
        }
        self.init(code, error.description, headers: headers)
    }
}
