import Digests
import Testing

@Suite("Digests") struct DigestsTests {
    @Test(
        "SHA-256 gives the standard's example digests",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func standardExamples(message: String, digest: String) {
        #expect(SHA256.hash(Array(message.utf8)).description == digest)
    }

    @Test("Pieces hash like the whole, and asking for a digest in between changes nothing", arguments: [1, 7, 64, 100])
    func pieces(length: Int) {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 31) }
        var hash = SHA256()
        for start in stride(from: 0, to: bytes.count, by: length) {
            hash.update(Array(bytes[start..<min(start + length, bytes.count)]))
            _ = hash.finalize()
        }
        #expect(hash.finalize() == SHA256.hash(bytes))
    }

    @Test("Hexadecimal digits read back what was written, in either case") func hexadecimalRoundTrip() {
        let all = (0...255).map { UInt8($0) }
        #expect([UInt8](hexadecimal: all.hexadecimal) == all)
        #expect([UInt8](hexadecimal: all.hexadecimal.uppercased()) == all)
    }

    @Test("What isn't hexadecimal is refused", arguments: ["0", "0g", "é0", " 00", "0x00"])
    func notHexadecimal(text: String) {
        #expect([UInt8](hexadecimal: text) == nil)
    }

    @Test("A digest needs exactly 64 digits") func digestLength() {
        #expect(SHA256.Digest(hexadecimal: String(repeating: "0", count: 62)) == nil)
        #expect(SHA256.Digest(hexadecimal: SHA256.hash([1]).description) == SHA256.hash([1]))
    }

    @Test(
        "Constant-time comparison agrees with ==",
        arguments: [([], []), ([1], [1]), ([1], [2]), ([1, 2], [1]), ([0, 0, 1], [0, 0, 2])] as [([UInt8], [UInt8])])
    func comparison(a: [UInt8], b: [UInt8]) {
        #expect(constantTimeEquals(a, b) == (a == b))
    }
}
