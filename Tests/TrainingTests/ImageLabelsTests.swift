import Testing
import UntrustedText

@testable import Training

/// Keeps the promise that a table of labels means exactly what it says, or is refused with its line.
@Suite("Tables of labels")
struct ImageLabelsTests {
    @Test(
        "are comma-separated values as RFC 4180 has them",
        arguments: [
            ("a,b\nc,d\n", [["a", "b"], ["c", "d"]]), ("a,b\r\nc,d", [["a", "b"], ["c", "d"]]), ("", []),
            ("\u{FEFF}a\n", [["a"]]), ("\n\na\r\n\n", [["a"]]), ("a,\n", [["a", ""]]), (",", [["", ""]]),
            ("\"a,\"\"b\"\"\r\nc\",d", [["a,\"b\"\r\nc", "d"]]), ("\"\"", [[""]]), (" a , b", [[" a ", " b"]]),
        ])
    func parses(text: String, records: [[String]]) throws {
        var table = CommaSeparatedValues(Array(text.utf8))
        var found: [[String]] = []
        while let record = try table.next() { found.append(record.fields.map { String(decoding: $0, as: UTF8.self) }) }
        #expect(found == records)
    }

    @Test(
        "that the standard doesn't allow are refused with the line",
        arguments: [
            ("a,b\n\"c", "line 2: a quotation mark is never closed"),
            ("a\"b", "line 1: a field that doesn't begin with a quotation mark contains one"),
            ("\"a\"b", "line 1: text follows"), ("a\n\"\n\n\"x", "line 4: text follows"),
            ("a\rb", "line 1: a carriage return"),
        ])
    func faults(text: String, message: String) {
        var table = CommaSeparatedValues(Array(text.utf8))
        let fault = #expect(throws: CommaSeparatedValues.Fault.self) { while try table.next() != nil {} }
        #expect(fault?.description.hasPrefix(message) == true, "\(fault?.description ?? "")")
    }

    @Test(
        "need their columns, a path and a label a line, and every path once",
        arguments: [
            ("", "line 1: must name"), ("a.jpg,cat\n", "line 1: must name"), ("path,label,path\n", "line 1: must name"),
            ("path,label\n", "has no line"), ("path,label\na.jpg\n", "line 2: has 1 fields, but the first line has 2"),
            ("path,label\na.jpg,\n", "line 2: has no label"), ("path,label\n./,cat\n", "line 2: has no path"),
            ("path,label\na.jpg,cat\n./a.jpg,cat\n", "line 3: a.jpg has a label already in line 2"),
        ])
    func malformed(text: String, message: String) {
        let error = #expect(throws: DataSetError.self) { try ImageLabels(Array(text.utf8), path: "labels.csv") }
        #expect(error?.message.contains("labels.csv: \(message)") == true, "\(error?.message ?? "")")
    }

    @Test("label the images of a folder and an archive alike, instead of their folders")
    func labels() throws {
        let folder = try TemporaryFolder()
        var tar = TarBuilder()
        for name in ["0.png", "x/1.png", "x/2.png", "3.png"] {
            try folder.write("data/" + name)
            tar.add(name, [0])
        }
        let archive = try folder.write("data.tar", tar.archive)
        let table = "id,label,path\n7,dog,./x/2.png\n8,\"cat, big\",0.png\n9,dog,x/1.png\n"
        let labels = try ImageLabels(at: try folder.write("labels.csv", Array(table.utf8)))
        for path in [folder.path + "/data", archive] {
            let images = try LabelledImages(at: path, labels: labels)
            #expect(images.classes == ["cat, big", "dog"])
            #expect(
                images.items.map(\.path) == ["0.png", "x/1.png", "x/2.png"] && images.items.map(\.label) == [0, 1, 1])
            #expect(images.skipped.unlisted == 1 && images.firstUnlisted == ["3.png"])
        }
        let lost = try ImageLabels(Array("path,label\n0.png,cat\nx/9.png,dog\n".utf8), path: "labels.csv")
        let error = #expect(throws: DataSetError.self) { try LabelledImages(at: archive, labels: lost) }
        #expect(error?.message.contains("1 of 2 paths are not images of \(archive): x/9.png (line 3)") == true)
    }

    @Test("name files whose names are not UTF-8, but classes in UTF-8 only")
    func anyNames() throws {
        var tar = TarBuilder()
        let name: [UInt8] = [0xE9] + Array(".png".utf8)
        tar.add(String(pathBytes: name), [0])
        let folder = try TemporaryFolder()
        let archive = try folder.write("data.tar", tar.archive)
        let header = Array("path,label\n".utf8)
        let labels = try ImageLabels(header + name + Array(",cat\n".utf8), path: "labels.csv")
        #expect(try LabelledImages(at: archive, labels: labels).classes == ["cat"])
        let error = #expect(throws: DataSetError.self) {
            try ImageLabels(header + Array("a.png,".utf8) + [0xE9], path: "labels.csv")
        }
        #expect(error?.message.contains("line 2: the label is not UTF-8") == true)
    }
}
