@testable import CommandLineInterface
@testable import Evaluation
@testable import Training

/// Data sets.
let dataTargets = [
    FuzzTarget(
        name: "csv", kind: .parser, maximumLength: 4096,
        promise: "records written again in quotation marks are read as the same records; a table's labels are UTF-8",
        run: { input in
            let isTable = input.bool()
            let bytes = input.rest
            if isTable {
                _ = try ImageLabels(bytes, path: "labels.csv")
            } else {
                try readTable(bytes)
            }
        }),
    FuzzTarget(
        name: "tar", kind: .parser, maximumLength: 8192,
        promise:
            "every stored file lies in the archive, which may be compressed or a zip; checksums are mended in half of the inputs",
        run: { try readTar(&$0) }),
    FuzzTarget(
        name: "labels", kind: .parser, maximumLength: 4096,
        promise: "a class name holds no line end, and each class has the logit of its name",
        run: { input in
            let count = input.integer(in: 0...8)
            let names = try ImportCommand.classNames(input.rest, in: "labels")
            require(
                names.allSatisfy { !$0.utf8.contains(UInt8(ascii: "\n")) }, "a class name is one line")
            let labels = try EvaluationLabels(classes: Array(names.suffix(count)), labels: names)
            for (index, name) in zip(labels.logitIndices, names.suffix(count)) {
                require(names[index] == name, "a class has the logit of its name")
            }
        }),
]

private func readTable(_ bytes: [UInt8]) throws {
    var table = CommaSeparatedValues(bytes)
    var fields: [[[UInt8]]] = []
    var line = 0
    while let record = try table.next() {
        require(record.line > line && !record.fields.isEmpty, "records have fields and come one behind the other")
        line = record.line
        fields.append(record.fields)
    }
    let quote = UInt8(ascii: "\"")
    let lines = fields.map { record in
        record.map { [quote] + $0.flatMap { $0 == quote ? [quote, quote] : [$0] } + [quote] }
            .joined(separator: [UInt8(ascii: ",")])
    }
    var again = CommaSeparatedValues(Array(lines.joined(separator: Array("\r\n".utf8))))
    for record in fields {
        require(try again.next()?.fields == record, "a table means the same when it is written again")
    }
    require(try again.next() == nil, "no record is added")
}

private func readTar(_ input: inout FuzzInput) throws {
    let isMended = input.bool()
    let ignoresClasses = input.bool()
    let bytes = isMended ? mendingHeaders(of: input.rest) : input.rest
    try withFile(bytes) { path in
        for file in try ImageArchive(at: path, { _ in true }).files {
            guard case .stored(let range) = file.place else { continue }
            require(range.upperBound <= bytes.count, "a stored file lies in the archive")
        }
        let images = try LabelledImages(at: path, ignoringClasses: ignoresClasses)
        for place in images.items.indices {
            let item = images.items[place]
            require(ignoresClasses || images.classes.indices.contains(item.label), "a label is that of a class")
            _ = try images.bytes(at: place)
        }
        _ = try images.fingerprint()
    }
}

/// The archive with every header's checksum as it should be, and an end marker, so that what is in it reaches the reader.
private func mendingHeaders(of archive: [UInt8]) -> [UInt8] {
    var bytes = archive + [UInt8](repeating: 0, count: (512 - archive.count % 512) % 512 + 1024)
    // Data between headers is passed over only if a header states it; mending a block of data does no harm.
    for start in stride(from: 0, to: bytes.count - 1024, by: 512) where bytes[start] != 0 {
        var sum = 8 * 32
        for place in start..<start + 512 where !(148..<156).contains(place - start) { sum += Int(bytes[place]) }
        let digits = Array(String(sum, radix: 8).utf8)
        bytes.replaceSubrange(start + 148..<start + 156, with: digits + [UInt8](repeating: 0, count: 8 - digits.count))
    }
    return bytes
}
