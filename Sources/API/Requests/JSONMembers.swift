import JSON

extension JSONReader {
    /// Reads an object whose members have the names of `Member`'s cases, calling `read` for each; it must read the value.
    ///
    /// A member that is null counts as absent, because many serialisers write unset members that way.
    ///
    /// - Parameter kind: what an error calls a member.
    /// - Throws: `Problem` 400 for a name that isn't known, null or not; what `read` throws.
    mutating func object<Member: RawRepresentable<String> & CaseIterable>(
        of kind: String, _ read: (inout Self, Member) throws -> Void
    ) throws {
        try object { scanner, name in
            guard let member = Member(rawValue: name) else {
                throw Problem.unknown(kind, name, known: Member.allCases.map(\.rawValue))
            }
            guard scanner.nextCharacter != "n" else { return try scanner.skipValue(depth: 1) }
            try read(&scanner, member)
        }
    }
}
