extension TapTime {
    /// As requests and options spell it.
    public var written: String {
        switch self {
        case .end: "end"
        case .at(let time): time.description
        }
    }
}

extension Tap {
    /// As a configuration has it.
    public var written: String { "\(time.written)/\(place)" }
}
