import Foundation
import Testing
import UntrustedText

@testable import Training

/// A folder that goes away with the test that made it.
final class TemporaryFolder {
    let path = FileManager.default.temporaryDirectory.appending(path: "headwater-\(UUID().uuidString)").path

    init() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file whose name may be any bytes, in a folder that is there.
    func write(named name: [UInt8], _ bytes: [UInt8]) throws {
        let file = try #require(fopen(String(pathBytes: Array((path + "/").utf8) + name).systemPath, "wx"))
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8] = [0]) throws -> String {
        let file = URL(filePath: path).appending(path: name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
        return file.path
    }

    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path + "/" + name, withDestinationPath: target)
    }
}

/// Keeps the promise that a folder and a tar of it are the same data set, in the same order, and that nothing is passed
/// over unseen.
@Suite("Labelled images")
struct LabelledImagesTests {
    /// A data set with one of everything that is passed over.
    private func makeFolder() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write("data/test/ship/0001.png", [2])
        try folder.write("data/test/ship/0000.jpg", [1])
        try folder.write("data/test/airplane/0000.JPEG", [3, 3])
        try folder.write("data/extra/ship/0.png", [4])
        try folder.write("data/readme.txt")
        try folder.write("data/test/ship/labels.csv")
        try folder.write("data/.git/objects/0.png")
        try folder.write("data/test/ship/._0000.jpg")
        try folder.write("data/stray.jpg")
        return folder
    }

    private func expectTheDataSet(_ images: LabelledImages) throws {
        #expect(images.classes == ["airplane", "ship"])
        #expect(
            images.items.map(\.path) == [
                "extra/ship/0.png", "test/airplane/0000.JPEG", "test/ship/0000.jpg", "test/ship/0001.png",
            ])
        #expect(images.items.map(\.label) == [1, 0, 1, 1])
        #expect(try images.items.indices.map { try images.bytes(at: $0) } == [[4], [3, 3], [1], [2]])
        #expect(images.skipped.notImages == 2)
        #expect(images.skipped.hidden == 2)
        #expect(images.skipped.unlabelled == 1)
    }

    @Test("some classes only, labelled as if there were no others, with a fingerprint of their own")
    func restriction() throws {
        let folder = try TemporaryFolder()
        for name in ["cat", "dog", "ship", "bird"] {
            for index in 0..<2 { try folder.write("\(name)/\(index).png", [UInt8(index)]) }
        }
        let all = try LabelledImages(at: folder.path)
        let some = try all.restricted(to: ["ship", "cat"])
        #expect(some.classes == ["cat", "ship"] && some.isRestricted && !all.isRestricted)
        #expect(some.items.map(\.path) == ["cat/0.png", "cat/1.png", "ship/0.png", "ship/1.png"])
        #expect(some.items.map(\.label) == [0, 0, 1, 1])
        #expect(try some.bytes(at: 3) == [1])
        #expect(try some.fingerprint() != all.fingerprint())
        let one = try some.restricted(to: ["ship"])
        #expect(one.items.map(\.label) == [0, 0])
        let error = #expect(throws: DataSetError.self) { try all.restricted(to: ["cat", "horse"]) }
        #expect(error?.message.contains("no class \"horse\"") == true)
        #expect(error?.message.contains("\"bird\", \"cat\", \"dog\", \"ship\"") == true)
    }

    @Test("a validation set is labelled as the training set, without all classes but those that are chosen")
    func validationOfSomeClasses() throws {
        let (folder, other, foreign) = (try TemporaryFolder(), try TemporaryFolder(), try TemporaryFolder())
        for name in ["cat", "dog", "ship"] { try folder.write("\(name)/0.png") }
        for name in ["dog", "horse", "ship"] { try other.write("\(name)/1.png") }
        try foreign.write("horse/0.png")
        let some = try LabelledImages(at: folder.path).restricted(to: ["cat", "ship"])
        let split = try DataSplit(some, validation: .dataSet(path: other.path), seed: 1)
        let validation = try #require(split.validation)
        #expect(split.training.labels == [0, 1])
        #expect(validation.labels == [1] && validation.images.items[validation.indices[0]].path == "ship/1.png")
        let alone = try LabelledImages(at: folder.path).restricted(to: ["cat"])
        #expect(throws: DataSetError.self) { try DataSplit(alone, validation: .dataSet(path: other.path), seed: 1) }
        #expect(throws: DataSetError.self) { try DataSplit(some, validation: .dataSet(path: foreign.path), seed: 1) }
    }

    @Test("a folder")
    func folder() throws {
        let folder = try makeFolder()
        try expectTheDataSet(LabelledImages(at: folder.path + "/data"))
    }

    @Test(
        "an archive made by tar", .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/tar")),
        arguments: ["gnu", "pax", "ustar"], [".", "extra readme.txt .git stray.jpg test"])
    func archive(format: String, members: String) throws {
        let folder = try makeFolder()
        let tar = Process()
        tar.executableURL = URL(filePath: "/usr/bin/tar")
        tar.arguments =
            ["--format=\(format)", "-C", folder.path + "/data", "-cf", folder.path + "/data.tar"]
            + members.split(separator: " ").map(String.init)
        try tar.run()
        tar.waitUntilExit()
        #expect(tar.terminationStatus == 0)
        let images = try LabelledImages(at: folder.path + "/data.tar")
        #expect(images.items.count == 4)
        #expect(images.classes == ["airplane", "ship"])
        #expect(try images.items.indices.map { try images.bytes(at: $0) } == [[4], [3, 3], [1], [2]])
    }

    @Test("an archive with the same members, a later one replacing an earlier")
    func handmadeArchive() throws {
        var tar = TarBuilder()
        tar.add("./", type: "5")
        tar.add("./test/ship/0001.png", [2])
        tar.add("./test/ship/0000.jpg", [9, 9, 9])
        tar.add("test/ship/0000.jpg", [1])
        tar.add("/test/airplane/0000.JPEG", [3, 3])
        tar.add("./extra/ship/0.png", [4])
        tar.add("./readme.txt")
        tar.add("./test/ship/labels.csv")
        tar.add("./.git/objects/0.png")
        tar.add("../outside/0.png")
        tar.add("./stray.jpg")
        let folder = try TemporaryFolder()
        try expectTheDataSet(LabelledImages(at: folder.write("data.tar", tar.archive)))
    }

    @Test("links are followed inside the folder and nowhere else")
    func links() throws {
        let folder = try TemporaryFolder()
        try folder.write("outside/secret.png", [66])
        try folder.write("data/a/0.png", [1])
        try folder.link("data/a/1.png", to: "0.png")
        try folder.link("data/a/2.png", to: "../../outside/secret.png")
        try folder.link("data/a/3.png", to: "/etc/hostname")
        try folder.link("data/b", to: "a")
        try folder.link("data/circle", to: "..")
        try folder.link("data/a/broken.png", to: "nowhere.png")
        try folder.write("data-outside/4.png", [67])
        try folder.link("data/a/4.png", to: "../../data-outside/4.png")
        let images = try LabelledImages(at: folder.path + "/data")
        #expect(images.items.map(\.path) == ["a/0.png", "a/1.png"])
        #expect(try images.bytes(at: 1) == [1])
        #expect(images.skipped.special == 6)
    }

    @Test("all links are followed where that is asked for, but for those that lead back to a folder that they lie in")
    func followedLinks() throws {
        let folder = try TemporaryFolder()
        try folder.write("outside/b/0.png", [2])
        try folder.write("data/a/0.png", [1])
        try folder.link("data/b", to: "../outside/b")
        try folder.link("data/a/1.png", to: "../../outside/b/0.png")
        try folder.link("data/a/back", to: "..")
        try folder.link("outside/b/loop", to: "../../data")
        try folder.link("data/a/self.png", to: "self.png")
        try folder.link("data/a/nowhere.png", to: "missing.png")
        let images = try LabelledImages(at: folder.path + "/data", following: .all)
        #expect(images.items.map(\.path) == ["a/0.png", "a/1.png", "b/0.png"] && images.classes == ["a", "b"])
        #expect(try images.items.indices.map { try images.bytes(at: $0) } == [[1], [2], [2]])
        #expect(images.skipped.loops == 3 && images.skipped.special == 1)
        #expect(images.skipped.description.contains("3 links to a folder"))
        let files = ImageFiles([folder.path + "/data"], following: .all)
        #expect(files.paths.count == 3)
    }

    @Test("names of any bytes are read in a folder and an archive alike; a class of such a name has it with escapes")
    func anyNames() throws {
        let latin1 = [UInt8]("caf".utf8) + [0xE9]
        let names = [latin1 + [0x2F, 0x0A, 0x2E] + Array("png".utf8), latin1 + [0x2F] + Array("\u{301}.png".utf8)]
        let folder = try TemporaryFolder()
        for name in ["data", "data/"] {
            mkdir(String(pathBytes: Array((folder.path + "/" + name).utf8)).systemPath, 0o700)
        }
        mkdir(String(pathBytes: Array((folder.path + "/data/").utf8) + latin1).systemPath, 0o700)
        var tar = TarBuilder()
        for (index, name) in names.enumerated() {
            try folder.write(named: Array("data/".utf8) + name, [UInt8(index)])
            tar.add("./" + String(pathBytes: name), [UInt8(index)])
        }
        let archive = try folder.write("data.tar", tar.archive)
        var fingerprints: Set<String> = []
        for path in [folder.path + "/data", archive] {
            let images = try LabelledImages(at: path)
            #expect(images.items.map(\.path.pathBytes) == names && images.classes == ["caf\\xE9"])
            #expect(try images.items.indices.map { try images.bytes(at: $0) } == [[0], [1]])
            fingerprints.insert(try images.fingerprint().description)
            let error = #expect(throws: DataSetError.self) { try images.bytes(at: 0, maximumBytes: 0) }
            #expect(error?.message.contains("caf\\xE9/\\n.png") == true)
        }
        #expect(fingerprints.count == 1)
        #expect(ImageFiles([folder.path + "/data"]).paths.count == 2)
        try folder.write("data/caf\\xE9/0.png")
        let error = #expect(throws: DataSetError.self) { try LabelledImages(at: folder.path + "/data") }
        #expect(error?.message.contains("would both be called") == true)
    }

    @Test("names that Unicode holds for the same are two images of an archive")
    func canonicallyEquivalentNames() throws {
        var tar = TarBuilder()
        tar.add("a/\u{E9}.png", [1])
        tar.add("a/e\u{301}.png", [2])
        let folder = try TemporaryFolder()
        let images = try LabelledImages(at: try folder.write("data.tar", tar.archive))
        #expect(images.items.count == 2)
    }

    @Test("an image beyond the limit is an error, in a folder and in an archive")
    func tooLarge() throws {
        let folder = try TemporaryFolder()
        try folder.write("data/a/0.png", [1, 2, 3, 4])
        var tar = TarBuilder()
        tar.add("a/0.png", [1, 2, 3, 4])
        for path in [folder.path + "/data", try folder.write("data.tar", tar.archive)] {
            let images = try LabelledImages(at: path)
            #expect(try images.bytes(at: 0, maximumBytes: 4) == [1, 2, 3, 4])
            let error = #expect(throws: DataSetError.self) { try images.bytes(at: 0, maximumBytes: 3) }
            #expect(error?.message.contains("4 bytes") == true)
        }
    }

    @Test("an archive cut short after it was opened gives an error")
    func cutShort() throws {
        var tar = TarBuilder()
        tar.add("a/0.png", [UInt8](repeating: 1, count: 600))
        let folder = try TemporaryFolder()
        let path = try folder.write("data.tar", tar.archive)
        let images = try LabelledImages(at: path)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.truncate(atOffset: 600)
        try handle.close()
        #expect(throws: DataSetError.self) { try images.bytes(at: 0) }
    }

    @Test("nothing there, nothing labelled and no archive are errors that say so")
    func errors() throws {
        let folder = try TemporaryFolder()
        let stray = try folder.write("data/stray.jpg")
        for (path, part) in [
            (folder.path + "/missing", "No such file"), (folder.path + "/data", "1 outside class folders"),
            (stray, "neither a folder nor an archive"), ("/dev/null", "not a regular file"),
        ] {
            let error = #expect(throws: DataSetError.self) { try LabelledImages(at: path) }
            #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
            #expect(error?.message.contains(path) == true)
        }
    }
}

/// Keeps the promise that paths given on a command line become files in an order that can be foreseen.
@Suite("Image files")
struct ImageFilesTests {
    @Test("files as named, folders in their place and sorted, problems reported with them")
    func expansion() throws {
        let folder = try TemporaryFolder()
        let named = try folder.write("photo.dat")
        try folder.write("z/b/2.png")
        try folder.write("z/a.jpg")
        try folder.write("z/b/1.png")
        try folder.write("z/b.png")
        try folder.write("z/notes.txt")
        try folder.write("z/.hidden.png")
        let files = ImageFiles([folder.path + "/z", named, folder.path + "/missing.png", folder.path + "/z/b/"])
        let relative = files.paths.map { $0.dropFirst(folder.path.count + 1) }
        #expect(relative == ["z/a.jpg", "z/b.png", "z/b/1.png", "z/b/2.png", "photo.dat", "z/b/1.png", "z/b/2.png"])
        #expect(files.skipped.description == "2 skipped: 1 hidden, 1 not .jpg, .jpeg, .png, .webp, .gif or .bmp")
        #expect(files.unreadable.count == 1)
        #expect(files.unreadable.first?.message.contains("missing.png: No such file") == true)
    }

    @Test("bytes of a file, and not of a folder, a device or more than allowed")
    func bytes() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("a.png", [1, 2])
        #expect(try ImageFiles.bytes(of: path, maximumBytes: 2) == [1, 2])
        #expect(throws: DataSetError.self) { try ImageFiles.bytes(of: path, maximumBytes: 1) }
        #expect(throws: DataSetError.self) { try ImageFiles.bytes(of: folder.path, maximumBytes: 9) }
        #expect(throws: DataSetError.self) { try ImageFiles.bytes(of: "/dev/zero", maximumBytes: 9) }
    }
}
