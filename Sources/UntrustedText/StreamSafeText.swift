extension String {
    /// Text from outside; nil if the bytes aren't UTF-8 or the text isn't stream-safe (`isStreamSafe`).
    package init?(streamSafe bytes: some Collection<UInt8>) {
        guard let text = String(validating: bytes, as: UTF8.self), text.isStreamSafe else { return nil }
        self = text
    }
}

extension StringProtocol {
    /// Whether no more than 30 combining characters follow one another, as in the Stream-Safe Text Format (Unicode Standard
    /// Annex #15, section 13), which holds for all that people write.
    ///
    /// Swift compares and hashes strings by canonical equivalence, and sorts runs of combining characters for that in a time
    /// that grows with the square of their number: a member name of 800 KB would take a minute wherever it is looked up.
    package var isStreamSafe: Bool {
        var run = 0
        for scalar in unicodeScalars {
            // The first combining character is U+0300.
            if scalar.value < 0x300 || scalar.properties.canonicalCombiningClass == .notReordered {
                run = 0
            } else {
                run += 1
                if run > 30 { return false }
            }
        }
        return true
    }
}

/// A message that holds text from outside, without characters that could command a terminal or reorder what it shows; an
/// ellipsis stands for what is beyond `count` code points.
package func printable(_ message: some StringProtocol, atMost count: Int = .max) -> String {
    let start = message.unicodeScalars.prefix(count)
    var text = ""
    for scalar in start {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
            text += scalar.escaped
        default: text.unicodeScalars.append(scalar)
        }
    }
    return text + (start.endIndex < message.endIndex ? "…" : "")
}

/// Text from outside as a message may show it: printable ASCII, everything else escaped, so that it can neither command a
/// terminal nor forge a line of a log; an ellipsis stands for what is beyond `count` code points.
package func shown(_ text: some StringProtocol, atMost count: Int) -> String {
    let start = text.unicodeScalars.prefix(count)
    return start.map(\.escaped).joined() + (start.endIndex < text.endIndex ? "…" : "")
}

/// A name from outside, quoted for a message as ``shown(_:atMost:)`` writes it; an ellipsis stands for what is beyond 120 code
/// points.
package func quoted(_ name: String) -> String { "'\(shown(name, atMost: 120))'" }
