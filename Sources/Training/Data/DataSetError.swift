import Files
import ImagePipeline
import UntrustedText

/// Why a data set or one of its files can't be read.
public struct DataSetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of reason.
    public enum Kind: Sendable {
        /// A file or folder isn't there or can't be read.
        case unreadable
        /// What was read is not a data set that can be used.
        case malformed
    }

    /// The kind of reason.
    public let kind: Kind
    /// What is wrong, where, and what to do about it.
    public let message: String

    /// Describes a fault of a data set.
    public init(_ message: String, kind: Kind = .malformed) {
        self.kind = kind
        // Names out of archives are part of most messages.
        self.message = printable(message, atMost: 2000)
    }

    /// Runs `body`, whose error for a file that can't be read, or is too large, becomes one of the data set.
    static func reading<Result>(_ body: () throws(FileError) -> Result) throws(DataSetError) -> Result {
        do throws(FileError) {
            return try body()
        } catch {
            throw DataSetError(error.description, kind: error.kind == .tooLarge ? .malformed : .unreadable)
        }
    }

    /// The message.
    public var description: String { message }
}

/// How many entries of a folder or archive were skipped, and why.
public struct SkippedEntries: Sendable, Equatable, CustomStringConvertible {
    /// Files and folders whose name begins with a dot. A folder counts once, with all that is in it.
    public var hidden = 0
    /// Files whose name doesn't end as an image's does.
    public var notImages = 0
    /// Images outside class folders.
    public var unlabelled = 0
    /// Images that a table of labels doesn't name.
    public var unlisted = 0
    /// Links that aren't followed, links that lead nowhere, links inside archives, devices, and other special entries.
    public var special = 0
    /// Links that lead back to a folder that contains them.
    public var loops = 0

    /// All of them.
    public var count: Int { hidden + notImages + unlabelled + unlisted + special + loops }

    /// Such as `3 skipped: 2 hidden, 1 not .jpg, .jpeg or .png`; `none skipped` for none.
    public var description: String {
        let parts = [
            (hidden, "hidden"), (notImages, "not \(ImageFormat.suffixes)"), (unlabelled, "outside class folders"),
            (unlisted, "not in the labels"), (special, "links or special files"),
            (loops, "links to a folder that contains them"),
        ]
        guard count > 0 else { return "none skipped" }
        return "\(count) skipped: "
            + parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }

    /// Counts a file by its name, in bytes.
    ///
    /// - Returns: whether it is an image to keep.
    mutating func keeps(fileNamed name: some BidirectionalCollection<UInt8>) -> Bool {
        let isImage = ImageFormat.isImageName(name)
        if !isImage { notImages += 1 }
        return isImage
    }
}
