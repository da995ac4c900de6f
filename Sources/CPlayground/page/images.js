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

const bodyOf = entry => entry.file.arrayBuffer().catch(() => {
  throw new Error("The file can't be read. Folders can't be dropped.");
});

// Classes and embedding of an image.
const compare = entry => once(entry, "comparison", async () => {
  const body = await bodyOf(entry);
  const thumbnail = entry.thumbnail === undefined ? thumbnailOf(entry.file) : entry.thumbnail;
  const classes = ask("classify?top=5", body).catch(error => {
    if (error.code === "no_head") return null;
    throw error;
  });
  const [classified, embedded] = await Promise.all([classes, ask("embed?normalize=l2", body)]);
  Object.assign(entry, {
    thumbnail: await thumbnail,
    classes: classified && classified.results[0].top,
    labels: classified && (classified.labels ?? classified.results[0].logits.map((_, index) => `class ${index}`)),
    version: embedded.model.version, embedding: embedded.results[0].taps[0].embedding
  });
  seen.push(entry);
  if (entry.isOwn) showOwn(entry);
  redraw();
});

// The image's own address, or that of a small copy: dozens of photographs from a camera would fill the memory.
const pictureOf = entry => entry.thumbnail ?? entry.url;

// The address of a small copy; null for small images, and for those of a format that only the service knows.
async function thumbnailOf(file, side = 144) {
  const whole = await createImageBitmap(file).catch(() => null);
  const scale = whole === null ? 1 : side / Math.min(whole.width, whole.height);
  if (scale >= 1) return null;
  const { canvas, context } = canvasOf(Math.round(scale * whole.width), Math.round(scale * whole.height));
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  return new Promise(done => canvas.toBlob(blob => done(blob && URL.createObjectURL(blob))));
}

// The user's images, to be chosen again.
function showOwn(entry) {
  if ([...at("own").children].some(button => button.entry === entry)) return;
  const picture = element("img", { src: pictureOf(entry), alt: entry.name });
  at("own").append(offer(element("button", { type: "button" }, picture), entry));
  at("own").hidden = false;
  showChoice();
}

// The way that is being computed.
let running = null;

// An image's way towards noise and back. It takes longest, and an image that is only compared needs none.
const flowOf = entry => once(entry, "flow", async () => {
  const body = await bodyOf(entry), own = running = { entry, controller: new AbortController() };
  try {
    return await ask("trajectory", body, "POST", own.controller.signal);
  } finally {
    if (running === own) running = null;
  }
});

// How many choices were made.
let choices = 0;

// Shows an image, unless another one is chosen meanwhile.
async function choose(entry) {
  choices++;
  chosen = entry;
  // What isn't wanted any more would delay what is.
  if (running !== null && running.entry !== entry) running.controller.abort();
  showChoice();
  at("status").textContent = `Running ${entry.name} through the model…`;
  try {
    await noticeSwap();
    if (chosen !== entry) return void await compare(entry);
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
    if (error.name === "AbortError") return chosen === entry ? choose(entry) : void await compare(entry);
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

// Shows the first image of several that can be shown, if one is wanted at all, and compares the others with it. `progressed` is told
// how many are done.
async function compute(entries, isChoice, progressed = () => {}) {
  const failures = new Map();
  let compared = 0, done = 0;
  for (const entry of entries) {
    const choice = choices + 1;
    try {
      if (isChoice) await choose(entry); else await compare(entry);
      isChoice = false;
      compared++;
    } catch (error) {
      // Thirty wrong files may have one error.
      failures.set(error.message, [...failures.get(error.message) ?? [], entry.name]);
      // What the user has chosen meanwhile stays.
      if (choices !== choice) isChoice = false;
    }
    progressed(++done);
  }
  // All at once: a screen reader reads the whole list whenever it changes.
  if (failures.size > 0) showFailures(failures);
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
  const entries = [...files].map(file => Object.assign(entryOf(file, isOnDisk), { isOwn: true }));
  if (entries.length === 0) return;
  at("alert").textContent = alertNear(at("samples")).textContent = "";
  let told = performance.now();
  const computed = await compute(entries, true, done => {
    if (shown !== chosen || done === entries.length || performance.now() - told < 3000) return;
    told = performance.now();
    at("status").textContent = `${done} of ${entries.length} images have been added.`;
  });
  for (const entry of entries.filter(entry => !seen.includes(entry))) {
    names.delete(entry.name);
    URL.revokeObjectURL(entry.url);
  }
  if (computed > 1 && shown === chosen) {
    at("status").textContent = `${shown.name} is shown. ${computed} images have been added.`;
  }
}
