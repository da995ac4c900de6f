// Images, what the service says of them, and which of them is shown.

// All images whose embedding is known.
const seen = [];
// The image that was chosen last, and the one on display. They differ while the choice is being computed.
let chosen = null, shown = null;

const names = new Set();

// The name, or another one like it if an image has it already: pasted images are all image.png.
function distinct(name) {
  const [, stem, ending] = name.match(/^(.*?)(\.[^.]*)?$/s);
  let free = name;
  for (let number = 2; names.has(free); number++) free = `${stem}-${number}${ending ?? ""}`;
  names.add(free);
  return free;
}

// - isOnDisk: whether the user has the file. Browsers save files under names without some characters.
function entryOf(file, isOnDisk = false) {
  const name = distinct(isOnDisk ? file.name : file.name.replace(/[\u0000-\u001f\u007f-\u009f"*/:<>?\\|]/g, "_"));
  return { name, file, url: URL.createObjectURL(file), isOnDisk: isOnDisk && name === file.name };
}

const bodyOf = entry => once(entry, "body", () => entry.file.arrayBuffer());

// Classes and embedding of an image.
const compare = entry => once(entry, "comparison", async () => {
  const body = await bodyOf(entry);
  const classes = ask("classify?top=5", body).catch(error => {
    if (error.code === "no_head") return null;
    throw error;
  });
  const [classified, embedded] = await Promise.all([classes, ask("embed?normalize=l2", body)]);
  Object.assign(entry, {
    classes: classified && classified.results[0].top,
    labels: classified && (classified.labels ?? classified.results[0].logits.map((_, index) => `class ${index}`)),
    version: embedded.model.version, embedding: embedded.results[0].taps[0].embedding
  });
  seen.push(entry);
  redraw();
});

// An image's way towards noise and back. It takes longest, and an image that is only compared needs none.
const flowOf = entry => once(entry, "flow", async () => ask("trajectory", await bodyOf(entry)));

// Shows an image, unless another one is chosen meanwhile.
async function choose(entry) {
  chosen = entry;
  showChoice();
  at("status").textContent = `Running ${entry.name} through the model…`;
  try {
    await noticeSwap();
    const [flow] = await Promise.all([flowOf(entry), compare(entry), describe()]);
    const frames = await framesOf(flow);
    if (chosen !== entry) return;
    shown = entry;
    showFlow(entry, flow, frames);
    showClasses(entry);
    showSeen(entry);
    at("results").hidden = false;
    at("status").textContent = `${entry.name} is shown.`;
  } catch (error) {
    if (chosen === entry) {
      chosen = shown;
      showChoice();
      at("status").textContent = "";
    }
    throw error;
  }
}

// What depends on the images around the one that is shown.
function showSeen(entry) {
  showNeighbours(entry);
  showMap(entry);
  showMorphChoices(entry);
  showCommands();
}

// Draws it again for new images, in at most a tenth of the time: for hundreds of images, the map takes long.
let redrawing = null, pause = 0;
function redraw() {
  redrawing ??= setTimeout(() => {
    redrawing = null;
    const began = performance.now();
    if (shown !== null && seen.includes(shown)) showSeen(shown);
    pause = 9 * (performance.now() - began);
  }, pause);
}

// Makes a button choose an image. It is never busy: another choice may follow at once.
function offer(button, entry) {
  button.entry = entry;
  button.onclick = async () => {
    const place = alertNear(button);
    place.textContent = "";
    try {
      await choose(entry);
    } catch (error) {
      place.textContent = `${entry.name}: ${error.message}`;
    }
  };
  return button;
}

function showChoice() {
  for (const button of document.querySelectorAll(".strip button")) {
    button.setAttribute("aria-pressed", button.entry === chosen);
  }
}

// Shows the first image of several that can be shown, if one is wanted at all, and compares the others with it.
async function compute(entries, isChoice) {
  const failures = new Map();
  let compared = 0;
  for (const entry of entries) {
    try {
      if (isChoice) await choose(entry); else await compare(entry);
      isChoice = false;
      compared++;
    } catch (error) {
      // Thirty wrong files may have one error.
      failures.set(error.message, [...failures.get(error.message) ?? [], entry.name]);
      showFailures(failures);
    }
  }
  return compared;
}

function showFailures(failures) {
  const mostNames = 5;
  at("alert").replaceChildren(...[...failures].map(([message, names]) => {
    const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : "";
    return element("p", { textContent: `${names.slice(0, mostNames).join(", ")}${more}: ${message}` });
  }));
}

// Computes files of the user.
async function add(files, isOnDisk = false) {
  const entries = [...files].map(file => entryOf(file, isOnDisk));
  if (entries.length === 0) return;
  at("alert").textContent = "";
  const computed = await compute(entries, true);
  if (computed > 1 && shown === chosen) {
    at("status").textContent = `${shown.name} is shown. ${computed} images have been added.`;
  }
}
