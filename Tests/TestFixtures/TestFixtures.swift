import Foundation

/// Where the files that tests read live: `Tests/Fixtures` of this checkout.
public enum TestFixtures {
    /// The folder `Tests/Fixtures`.
    public static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures")

    /// The path of a fixture, such as `images/tiny-1x1.jpg`.
    public static func path(_ name: String) -> String { folder.appending(path: name).path }

    /// The bytes of a fixture.
    public static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: folder.appending(path: name)))
    }
}
