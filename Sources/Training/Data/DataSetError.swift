import Files
import ImagePipeline
import UntrustedText

/// Why a data set or one of its files can't be read.
package struct DataSetError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable {
        /// A file or folder isn't there or can't be read.
        case unreadable
        /// What was read is not a data set that can be used.
        case malformed
    }

    package let kind: Kind
    /// What is wrong, where, and what to do about it.
    package let message: String

    package init(_ message: String, kind: Kind = .malformed) {
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

    package var description: String { message }
}

/// How many entries of a folder or archive were skipped, and why.
package struct SkippedEntries: Sendable, Equatable, CustomStringConvertible {
    /// Files and folders whose name begins with a dot. A folder counts once, with all that is in it.
    package var hidden = 0
    /// Files whose name doesn't end as an image's does.
    package var notImages = 0
    /// Images outside class folders.
    package var unlabelled = 0
    /// Images that a table of labels doesn't name.
    package var unlisted = 0
    /// Links that aren't followed, links that lead nowhere, links inside archives, devices, and other special entries.
    package var special = 0
    /// Links that lead back to a folder that contains them.
    package var loops = 0
    /// The formats that images are of.
    let formats: ImageFormats

    init(formats: ImageFormats) { self.formats = formats }

    package var count: Int { hidden + notImages + unlabelled + unlisted + special + loops }

    /// Such as `3 skipped: 2 hidden, 1 not .jpg, .jpeg or .png`; `none skipped` for none.
    package var description: String {
        let parts = [
            (hidden, "hidden"), (notImages, "not \(formats.suffixes)"), (unlabelled, "outside class folders"),
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
        let isImage = formats.isImageName(name)
        if !isImage { notImages += 1 }
        return isImage
    }
}
