/// Why a document is not the JSON that was asked for.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    /// What is wrong and where: by its byte if it isn't JSON, by its path such as `taps[0].time` if it is.
    public let description: String

    package init(_ description: String) { self.description = description }
}
