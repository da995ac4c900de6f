/// A line that libmicrohttpd or the server logs.
package struct ServerMessage: Sendable {
    /// Without a line break.
    package let text: String

    package init(_ text: String) { self.text = text }

    /// Whether it only says that a client closed its connection early. Clients do so when they like, which is no fault of the service.
    package var tellsOfDeparture: Bool { Self.departures.contains { text.contains($0) } }

    /// How libmicrohttpd 0.9.75 to 1.0 puts it. The library gives no code with a message.
    private static let departures = [
        "Connection was closed by remote side", "Socket has been disconnected when reading request",
        "The connection was forcibly closed by remote peer", "The socket is no longer available for sending",
        "The socket is not connected",
    ]
}
