import Synchronization
import TestBench
import TestFixtures
import Testing

@testable import HTTPServer

@Suite("Compressed bodies")
struct ContentCodingTests {
    /// Text that compresses well, longer than a buffer.
    private static let text = (0..<20_000).flatMap { "line \($0 % 977)\n".utf8 }

    private func decode(
        _ body: [UInt8], _ coding: ContentCoding, atMost limit: Int = 1 << 20, reserve: (Int) -> Bool = { _ in true }
    ) throws(ContentCodingError) -> [UInt8] {
        try ContentDecoder.content(
            of: body, coding: coding, limits: ContentLimits(maximumBytes: limit), reserve: reserve)
    }

    @Test(
        "One known coding is taken, by any of its names; identity is none",
        arguments: [
            ([], nil), (["identity"], nil), ([""], nil), (["gzip"], .gzip), (["X-GZip"], .gzip),
            (["Deflate"], .deflate),
            (["identity, gzip ,"], .gzip), (["identity", "\tdeflate"], .deflate),
        ] as [([String], ContentCoding?)])
    func names(values: [String], coding: ContentCoding?) throws {
        #expect(
            try ContentCoding(values.reduce(into: HTTPHeaders()) { $0.append(name: "content-encoding", value: $1) })
                == coding)
    }

    @Test(
        "Any other coding and any second one are refused",
        arguments: [
            (["br"], .unknownCoding), (["zstd"], .unknownCoding), (["gzip;q=1"], .unknownCoding),
            (["gzip gzip"], .unknownCoding), (["compress"], .unknownCoding), (["gzip, gzip"], .severalCodings),
            (["gzip", "deflate"], .severalCodings),
        ] as [([String], ContentCodingError)])
    func otherNames(values: [String], error: ContentCodingError) {
        #expect(throws: error) {
            try ContentCoding(values.reduce(into: HTTPHeaders()) { $0.append(name: "Content-Encoding", value: $1) })
        }
    }

    @Test("gzip, zlib's format and bare deflate give the content back, of any length", arguments: Compression.allCases)
    func formats(compression: Compression) throws {
        let coding = try #require(ContentCoding(rawValue: compression.coding))
        for content in [[], [7], Self.text, Array(Self.text.prefix(64 << 10)), [UInt8](repeating: 0, count: 1 << 20)] {
            #expect(try decode(compression.compress(content), coding) == content, "\(content.count) bytes")
        }
    }

    @Test("The members of a gzip file follow each other, empty ones too; nothing else may follow the end")
    func members() throws {
        let (one, two, none) = (Array("one".utf8), Array("two".utf8), [UInt8]())
        let members = [one, none, two].map { Compression.gzip.compress($0) }
        #expect(try decode(Array(members.joined()), .gzip) == one + two)
        for (compression, coding) in [(Compression.gzip, .gzip), (.deflate, .deflate), (.bareDeflate, .deflate)]
            as [(Compression, ContentCoding)]
        {
            let body = compression.compress(one)
            for tail in [[0], [0x1F], body + [0]] where coding == .deflate || tail.count < 3 {
                #expect(
                    throws: ContentCodingError.trailingBytes(
                        coding, offset: body.count, byteCount: body.count + tail.count)
                ) { try decode(body + tail, coding) }
            }
        }
        #expect(throws: ContentCodingError.self) { try decode(members[0] + [0x1F, 0x8B, 0xFF], .gzip) }
    }

    @Test("Data that is cut off anywhere says so", arguments: Compression.allCases)
    func truncated(compression: Compression) throws {
        let coding = try #require(ContentCoding(rawValue: compression.coding))
        let body = compression.compress(Array(Self.text.prefix(3000)))
        for count in 1..<body.count {
            #expect(throws: ContentCodingError.truncated(coding, byteCount: count)) {
                try decode(Array(body.prefix(count)), coding)
            }
        }
    }

    @Test("Damage is found by the check at the end, if not before", arguments: [Compression.gzip, .deflate])
    func damaged(compression: Compression) throws {
        let coding = try #require(ContentCoding(rawValue: compression.coding))
        let content = Array(Self.text.prefix(3000))
        let body = compression.compress(content)
        // Gzip's header holds a time and a system, which change nothing.
        let start = compression == .gzip ? 10 : 2
        for place in start..<body.count {
            var damaged = body
            damaged[place] ^= 0x10
            // The last byte before the check may end in bits that mean nothing.
            let decoded = try? decode(damaged, coding)
            #expect(decoded == nil || decoded == content, "byte \(place)")
            if place >= body.count - 4 { #expect(decoded == nil, "byte \(place)") }
        }
        let needsDictionary: [UInt8] = [0x78, 0xBB, 0, 0, 0, 1, 3, 0]
        #expect(throws: ContentCodingError.needsDictionary) { try decode(needsDictionary, .deflate) }
        let image = #expect(throws: ContentCodingError.self) { try decode(Array("JFIF".utf8), .gzip) }
        #expect(image?.description.contains("of 4") == true)
    }

    @Test(
        "What comes out is limited in bytes and by its ratio to what came in, and no more memory is taken than allowed")
    func limits() throws {
        let numbers = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) }
        let body = Compression.gzip.compress(numbers)
        let reserved = Mutex(0)
        let reserve: (Int) -> Bool = { bytes in
            reserved.withLock { $0 += bytes }
            return true
        }
        #expect(try decode(body, .gzip, atMost: numbers.count, reserve: reserve) == numbers)
        #expect(reserved.withLock { $0 } == numbers.count)
        let limit = numbers.count - 1
        #expect(throws: ContentCodingError.tooLarge(maximumBytes: limit)) { try decode(body, .gzip, atMost: limit) }

        let zeros = [UInt8](repeating: 0, count: (1 << 20) + 1)
        #expect(throws: ContentCodingError.tooCompressed(maximumRatio: 100)) {
            try decode(Compression.gzip.compress(zeros), .gzip, atMost: 32 << 20)
        }
        #expect(try decode(Compression.gzip.compress(zeros.dropLast()), .gzip).count == 1 << 20)
        #expect(throws: ContentCodingError.noMemory) { try decode(body, .gzip) { _ in false } }
    }

    @Test("What a body decompresses to counts among the bodies held until its request ends, and not after")
    func budget() {
        let budget = BodyBudget(maximum: 100)
        let (one, other) = (BodyShare(of: budget), BodyShare(of: budget))
        #expect(one.reserve(60) && !other.reserve(41) && other.reserve(40))
        #expect(budget.heldBytes == 100)
        one.end()
        one.end()
        #expect(budget.heldBytes == 40 && !one.reserve(1))
        #expect(other.reserve(60))
        other.end()
        #expect(budget.heldBytes == 0)
    }
}
