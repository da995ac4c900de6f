extension Sequence<UInt8> {
    /// The bytes as lower-case hexadecimal digits, two a byte.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

extension [UInt8] {
    /// The bytes that hexadecimal digits of either case spell, two a byte; nil if there is anything else in `text` or a
    /// digit is left over.
    public init?(hexadecimal text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        self.init()
        reserveCapacity(digits.count / 2)
        for position in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(ofDigit: digits[position]), let low = value(ofDigit: digits[position + 1]) else {
                return nil
            }
            append(high << 4 | low)
        }
    }
}

private func value(ofDigit digit: UInt8) -> UInt8? {
    Character(Unicode.Scalar(digit)).hexDigitValue.map { UInt8($0) }
}
