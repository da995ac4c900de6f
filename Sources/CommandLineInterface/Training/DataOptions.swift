import Arguments
import Console
import ImagePipeline
import Training

/// Options of how the images of a data set or a folder are read, which several commands share.
enum DataOptions {
    /// What becomes of a damaged image.
    enum Damaged: String, CaseIterable, Sendable { case skip, fail }

    static let damaged = Option(
        "damaged", .choice("ACTION", of: Damaged.self), default: .skip,
        help: "What to do with a damaged image: skip names it on standard error, leaves it out and counts it; fail "
            + "ends the command.")
    static let damagedLimit = Option(
        "damaged-limit", .percentage, default: 0.05,
        help: "The largest share of damaged images to skip, such as 0.5%. Above it, the command fails and names the "
            + "first few. Unless it is 0%, one image may always be skipped.")
    static let followsLinks = Option(
        flag: "follow-links",
        help: "Follow every symbolic link inside a folder, to files and folders anywhere, except links to a folder "
            + "that contains them. By default, a link counts only if it leads to a file in the same folder.")
    static let formats = Option(
        "formats", .formats, default: .standard,
        help: "The image formats that are read. Images of other formats are refused, and skipped in folders and "
            + "archives.")
    static let labels = Option(
        "labels", optional: .file,
        help: "A CSV file whose columns 'path' and 'label', named in its first line, give the class of each image of "
            + "--data; the names of folders are then ignored. Paths are relative to --data.")

    /// Of commands that go through a whole data set.
    static let options = OptionGroup("Images", [formats, damaged, damagedLimit, followsLinks])

    /// The formats that are asked for.
    ///
    /// - Throws: `CommandFailure` with status `unavailable` if the library of one is missing.
    static func formats(
        _ arguments: ParsedArguments, _ option: Option<ImageFormats> = formats
    ) throws -> ImageFormats {
        let formats = try arguments[option]
        for format in formats.members {
            guard let reason = format.unavailability else { continue }
            throw CommandFailure(
                .unavailable, "\(arguments.place(of: option)): \(reason), or leave \(format.optionName) out")
        }
        return formats
    }

    static func damagePolicy(_ arguments: ParsedArguments) throws -> DamagePolicy {
        try arguments[damaged] == .fail ? .fail : .skip(share: try arguments[damagedLimit])
    }

    static func links(_ arguments: ParsedArguments) throws -> FollowedLinks {
        try arguments[followsLinks] ? .all : .insideFolder
    }

    static func labels(_ arguments: ParsedArguments, _ option: Option<String?> = labels) throws -> ImageLabels? {
        try arguments[option].map { try ImageLabels(at: $0) }
    }

    /// Says what was passed over in a data set; nothing if all was taken.
    @MainActor
    static func report(_ images: LabelledImages) {
        guard images.skipped.count > 0 else { return }
        let names = images.firstUnlisted.joined(separator: ", ")
        let more = images.skipped.unlisted > images.firstUnlisted.count ? ", …" : ""
        Terminal.report("headwater: \(images.path): \(images.skipped)" + (names.isEmpty ? "" : " (\(names)\(more))"))
    }
}

extension ValueSyntax where Value == ImageFormats {
    /// Image formats, of those that can be decoded.
    static var formats: ValueSyntax {
        let names = ImageFormats.all.members.map(\.optionName)
        return ValueSyntax(
            placeholder: "FORMAT,…", rule: "a list with commas, each one of \(names.joined(separator: ", "))",
            completion: .list(names),
            parse: { text in
                ImageFormats(optionNames: text.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
            },
            format: \.description)
    }
}

extension ValueSyntax where Value == Double {
    /// A share in percent, 0 to 1 as a value.
    static var percentage: ValueSyntax {
        ValueSyntax(
            placeholder: "PERCENT", rule: "a percentage from 0% to 100%, such as 0.5%",
            parse: { text in
                guard text.utf8.last == UInt8(ascii: "%"), let number = Double(text.dropLast()),
                    (0...100).contains(number)
                else { return nil }
                return number / 100
            },
            format: { value in
                let percent = value * 100
                return percent.rounded() == percent ? "\(Int(percent))%" : "\(percent)%"
            })
    }
}
