import Digests
import Foundation
import HTTPServer
import TestFixtures
import Testing

@testable import API

/// Keeps the promise that a file in JSON is read in every form that encoders write, and that text which is none says what to
/// send instead.
@Suite("Files as text")
struct InlineFileTests {
    @Test("Base64 is what Foundation makes of it, for every length, with MIME's line breaks and without")
    func base64() throws {
        for count in 0..<200 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 89 &+ 7) }
            let text = Data(bytes).base64EncodedString()
            #expect(String(decoding: Base64.encode(bytes), as: UTF8.self) == text)
            let unbroken = try InlineFile.bytes(text)
            #expect(unbroken == bytes)
            for options: Data.Base64EncodingOptions in [
                [.lineLength76Characters, .endLineWithLineFeed], [.lineLength64Characters, .endLineWithCarriageReturn],
                [.lineLength76Characters, .endLineWithLineFeed, .endLineWithCarriageReturn],
            ] {
                #expect(try InlineFile.bytes(Data(bytes).base64EncodedString(options: options) + "\n") == bytes)
            }
        }
        #expect(try InlineFile.bytes("\r\nQ\nU\rI\r\n=\n") == Array("AB".utf8))
    }

    @Test(
        "What isn't base64 is refused with the reason",
        arguments: [
            ("A", "not a multiple of 4"), ("AA", "padding (=) missing"), ("AAA", "not a multiple"),
            ("A===", "longer than two"),
            ("====", "longer than two"), ("AAAA====", "longer than two"),
            ("AA==AAAA", "character 5 follows the padding"), ("AA A", "character 3 is a space"),
            ("\nAA*A", "character 4 is not in"), ("AB==", "has surplus bits"), ("AAB=", "surplus bits"),
            ("Ä===", "character 1 is not in"), ("ab-_", "character 3 is from the URL-safe alphabet"),
            ("ab_A", "URL-safe"), ("AAAA\t", "character 5 is not in"),
        ])
    func notBase64(text: String, says: String) {
        let refusal = #expect(throws: InlineFile.Refusal.self) { try InlineFile.bytes(text) }
        #expect(refusal?.reason.contains(says) == true, "\(String(describing: refusal))")
    }

    @Test(
        "A data: URI is its data, whatever type it declares (RFC 2397)",
        arguments: [
            "data:image/png;base64,QUI=", "DATA:;Base64,QUI=", "data:;base64,QUI=",
            "data:image/jpeg;charset=utf-8;base64,QUI=",
            "data:image/png;name=a.png;base64,QUI=", "data:text/html;base64,QUI%3D",
            "data:image/png;base64,Q%55I%3D%0D%0A",
            "data:image/svg+xml; base64,QU\r\nI=\n",
        ])
    func dataURI(text: String) throws {
        #expect(try InlineFile.bytes(text) == Array("AB".utf8))
    }

    @Test(
        "A data: URI that isn't base64, a URL and a file's name are named, with what to send",
        arguments: [
            ("data:image/png,%89PNG", "without ;base64"), ("data:image/png;base64;x=y,QUI=", "without ;base64"),
            ("data:image/png;base64", "without a comma"), ("data:image/png;base64,QU", "not a multiple of 4"),
            ("data:image/png;base64,QU%", "two hexadecimal digits"), ("data:image/png;base64,A*==", "character 24"),
            (Named("data: and 5,000 letters", "data:" + String(repeating: "x", count: 5000) + ","), "without a comma"),
            ("http://example.org/a.jpg", "is a URL, which the service doesn't fetch"),
            ("HTTPS://example.org/a", "is a URL"),
            ("s3://bucket/key", "is a URL"), ("file:///home/me/a.png", "is a URL"), ("gs://b/k?x=1", "is a URL"),
            ("blob:https://example.org/1234", "is a URL"), ("a.jpg", "is a file name"),
            ("/home/me/Photo.JPEG", "is a file name"),
            ("C:\\photos\\a.png", "is a file name"), ("a.png\n", "is a file name"),
        ] as [(Named<String>, String)])
    func reference(text: Named<String>, says: String) {
        let refusal = #expect(throws: InlineFile.Refusal.self) { try InlineFile.bytes(text.value) }
        #expect(refusal?.reason.contains(says) == true, "\(String(describing: refusal))")
    }
}

/// Keeps the promise that what is sent as an image by mistake is named, with what to do instead.
@Suite("Mistaken images")
struct MistakenImageTests {
    private func problem(_ body: [UInt8], _ contentType: String?) -> Problem? {
        let isURLEncoded = contentType?.contains("urlencoded") ?? false
        return MistakenImage(body, isURLEncoded: isURLEncoded)?.problem(contentType: contentType)
    }

    private static let curl = "application/x-www-form-urlencoded"

    @Test(
        "A text says what it is",
        arguments: [
            (
                #"{"images":["AAAA"]}"#, curl, 415,
                "its Content-Type is application/x-www-form-urlencoded; set Content-Type: application/json"
            ),
            ("\u{FEFF} [1]", "text/plain", 415, "curl --json"), (" \r\n{", nil, 415, "it has no Content-Type"),
            ("--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1", "application/octet-stream", 415, "is a form"),
            ("image=a.jpg", curl, 415, "curl -F image=@FILE"),
            ("images%5B%5D=%FF&at=end", curl, 415, "URL-encoded form"),
            ("/9j/4AAQSkZJRgABAQ==", curl, 415, "is base64"), ("iVBORw0KGgoAAAANSUhEUg==\n", nil, 415, "is base64"),
            (
                Named("a data: URI of 9,000 letters", "data:image/png;base64," + String(repeating: "A", count: 9000)),
                nil,
                415, "is a data: URI"
            ),
            ("https://example.org/a.jpg\n", curl, 415, "is a URL, which the service doesn't fetch"),
            ("s3://bucket/a", nil, 415, "is a URL"), ("photo.jpg", curl, 415, "wants an @"),
            ("/home/me/photo.PNG\n", "image/png", 415, "wants an @"),
        ] as [(Named<String>, String?, Int, String)])
    func text(body: Named<String>, contentType: String?, status: Int, says: String) {
        let problem = problem(Array(body.value.utf8), contentType)
        #expect(
            problem?.code.status == status && problem?.detail.contains(says) == true, "\(String(describing: problem))")
    }

    @Test("A file that curl -d has stripped is told from one that is whole, and from one that is cut")
    func stripped() throws {
        for file in ["images/rgb-32x32.jpg", "images/rgb-120x80.png"] {
            let bytes = try TestFixtures.bytes(file)
            let stripped = bytes.filter { $0 != 0 && $0 != 10 && $0 != 13 }
            #expect(problem(stripped, Self.curl)?.detail.contains("curl --data-binary @FILE") == true)
            for whole in [bytes, Array(bytes.prefix(40)), Array(bytes.prefix(3)), []] {
                #expect(problem(whole, Self.curl) == nil)
            }
        }
    }

    @Test(
        "What the decoder knows better is left to it",
        arguments: ["GIF89a", "hello", "<svg>", "Note: this", "a=b", "AAAA==", "RIFF\0\0\0\0WEBP", "{\0", "a.tga"])
    func others(body: String) {
        #expect(problem(Array(body.utf8), nil) == nil)
    }

    @Test("Where the inference protocol has bytes, base64, URLs and stripped files are named")
    func inferenceInput() throws {
        let image = try sampleImage()
        let base64 = Array(Data(image).base64EncodedString().utf8)
        let element = BinaryBody.prefixed(base64)
        let body = BinaryBody(
            json: input("image", "BYTES", "[1]", #""parameters":{"binary_data_size":\#(element.count)}"#), tail: element
        )
        let limits = InferenceRequest.Limits(maximumImages: 4, side: 16)
        for (bytes, length, says) in [
            (body.bytes, body.json.utf8.count, "image[0] is base64"), (base64, 0, "the body is base64"),
            (Array("s3://bucket/a.jpg".utf8), 0, "the body is a URL"),
            (image.filter { $0 != 0 && $0 != 10 && $0 != 13 }, 0, "curl --data-binary @FILE"),
        ] {
            let problem = #expect(throws: Problem.self) {
                try InferenceRequest(bytes, headerLength: length, limits: limits)
            }
            #expect(problem?.detail.contains(says) == true, "\(String(describing: problem))")
        }
        #expect(try InferenceRequest(image, headerLength: 0, limits: limits).inputs.count == 1)
    }

    @Test("A form's field without a file name is told by what it holds")
    func field() {
        for text in ["https://example.org/a.jpg", "a.jpg", "data:image/png;base64,AAAA", "/9j/4AAQ"] {
            let problem = MistakenImage(Array(text.utf8), isURLEncoded: false)?.problem(field: "image")
            #expect(problem?.detail.contains("-F image=@FILE") == true)
        }
        #expect(MistakenImage(Array("{}".utf8), isURLEncoded: false)?.problem(field: "image") == nil)
    }
}
