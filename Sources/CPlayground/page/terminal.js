// The same requests as commands for a terminal.

// A word of a shell's command. In single quotes, every character but a single quote stands for itself; control characters, which
// a terminal might obey, are escaped.
function quoted(text) {
  if (!/[\u0000-\u001f\u007f-\u009f]/.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = text.replace(/[\\']/g, "\\$&").replace(/[\u0000-\u001f\u007f-\u009f]/g,
    letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return `$'${escaped}'`;
}

// A file of a form. curl reads on after a semicolon or a comma unless the name is in double quotes.
const formFile = entry => `--form ${quoted(`image=@"${entry.name.replace(/["\\]/g, "\\$&")}"`)}`;

function showCommands() {
  if (shown === null) return;
  const command = (path, rest) =>
    ["curl", ...key ? ['--header "X-API-Key: $KEY"'] : [], ...rest, quoted(`${new URL(path, location)}`)].join(" ");
  const paths = [...shown.classes === null ? [] : ["classify?top=5"], "embed?normalize=l2", "trajectory"];
  at("key-hint").hidden = key === "";
  const commands = paths.map(path => command(path, [`--data-binary ${quoted(`@${shown.name}`)}`]));
  const ends = at("morph").hidden ? [] : morphEnds().filter(end => end !== undefined);
  if (ends.length === 2) commands.push(command(morphRequest(), ends.map(formFile)));
  if (!at("create").hidden && typedSeed() !== null) commands.push(command(sampleRequest(typedSeed()), ["--request POST"]));
  // What is the same stays, with the keyboard's focus.
  if (at("command").textContent === commands.join("\n")) return;
  at("command").textContent = commands.join("\n");
  at("copied").textContent = "";
  offerFiles(new Set([shown, ...ends]));
}

// Offers what the commands name and the user doesn't have as a file.
function offerFiles(entries) {
  at("save-images").replaceChildren(...[...entries].filter(entry => !entry.isOnDisk).flatMap(entry => [
    element("button", { type: "button", textContent: `Save ${entry.name}`, onclick: () => download(entry.file, entry.name) }), " "]));
}

at("copy").onclick = async () => {
  try {
    await navigator.clipboard.writeText(at("command").textContent);
    at("copied").textContent = "Copied.";
  } catch {
    // Without TLS there is no clipboard; the text is selected instead.
    getSelection().selectAllChildren(at("command"));
    at("copied").textContent = "The commands are selected. Press Ctrl+C (⌘C on a Mac) to copy them.";
  }
};
