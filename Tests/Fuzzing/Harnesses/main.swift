import CFuzzing
import Glibc

/// Every parser that bytes from elsewhere reach.
let targets = imageTargets + requestTargets + checkpointTargets + dataTargets + clientTargets + streamTargets

/// The target that this process fuzzes.
enum Selection {
    // Written once, before the one thread of the fuzzer begins to read it.
    nonisolated(unsafe) static var target = targets[0]
}

guard CommandLine.argc > 1, CommandLine.arguments[1] != "--list" else {
    for target in targets { print(target.name, target.kind.rawValue, target.maximumLength, target.promise) }
    exit(0)
}
guard let target = targets.first(where: { $0.name == CommandLine.arguments[1] }) else {
    fatalError("there is no target \(CommandLine.arguments[1]); --list names them")
}
Selection.target = target

// libFuzzer takes the arguments behind the name as its own, a later one outweighing an earlier one.
var arguments: [UnsafeMutablePointer<CChar>?] =
    ([CommandLine.arguments[0], "-max_len=\(target.maximumLength)"] + CommandLine.arguments.dropFirst(2))
    .map { strdup($0) } + [nil]
var count = Int32(arguments.count - 1)
let status = arguments.withUnsafeMutableBufferPointer { buffer in
    var pointer = buffer.baseAddress
    return LLVMFuzzerRunDriver(&count, &pointer) { bytes, count in
        var input = FuzzInput(Array(UnsafeBufferPointer(start: bytes, count: count)))
        do {
            try Selection.target.run(&input)
        } catch {
            checkRefusal(error)
        }
        return 0
    }
}
exit(status)
