// What is chosen, dropped, pasted or photographed is computed and shown, one image after the other.
let queue = [], working = false;

const decoded = url => Uint8Array.from(atob(url.split(",")[1]), letter => letter.charCodeAt(0));

async function take(file) {
  const body = await file.arrayBuffer();
  const classes = ask("classify?top=5", body).then(answer => answer, error => {
    if (error.code === "no_head") return null;
    throw error;
  });
  const [classified, embedded] = await Promise.all([classes, ask("embed?normalize=l2", body)]);
  return {
    name: file.name, body, url: URL.createObjectURL(file), classes: classified && classified.results[0].top,
    labels: classified && (classified.labels ?? classified.results[0].logits.map((_, index) => `class ${index}`)),
    version: embedded.model.version, embedding: embedded.results[0].taps[0].embedding
  };
}

async function choose(entry) {
  // An image that is only compared needs no way to noise, which takes longest.
  entry.flow ??= await ask("trajectory", entry.body);
  shown = entry;
  showClasses(entry);
  showNeighbours(entry);
  showMap(entry);
  showMorphChoices(entry);
  showCommand(entry);
  at("results").hidden = false;
  await showFlow(entry);
}

function showCommand(entry) {
  const header = key ? " --header \"X-API-Key: $KEY\"" : "";
  // A name in single quotes may have any character but a single quote.
  const file = `'@${entry.name.replaceAll("'", "'\\''")}'`;
  at("command").textContent = ["classify?top=5", "embed?normalize=l2", "trajectory"]
    .map(path => `curl${header} --data-binary ${file} '${new URL(path, location)}'`).join("\n");
}

async function work() {
  if (working) return;
  working = true;
  at("alert").textContent = "";
  while (queue.length > 0) {
    const { file, isQuiet } = queue[0];
    at("status").textContent = `${file.name} is being computed…`;
    try {
      const entry = await take(file);
      seen.push(entry);
      if (isQuiet) refresh(); else await choose(entry);
      at("status").textContent = `${file.name}: done.`;
    } catch (error) {
      at("status").textContent = "";
      if (error.status === 401) { askForKey(); break; }
      at("alert").textContent = `${file.name}: ${error.message}`;
    }
    queue.shift();
  }
  working = false;
}

// The entry that is shown; the others around it may have become more.
let shown = null;

function refresh() {
  if (shown === null) return;
  showNeighbours(shown);
  showMap(shown);
  showMorphChoices(shown);
}

function add(files, isQuiet = false) {
  queue.push(...[...files].map(file => ({ file, isQuiet })));
  work();
}

// The photographs of the page: the first is shown, the others only compared with it.
function addSamples() {
  for (const [place, button] of [...at("samples").children].entries()) {
    const picture = button.firstElementChild, name = `${picture.alt.split(" ").pop()}.jpg`;
    const file = new File([decoded(picture.src)], name, { type: "image/jpeg" });
    add([file], place > 0);
    button.onclick = () => {
      const known = seen.find(entry => entry.name === name && entry.body.byteLength === file.size);
      if (known) run(button, () => choose(known)); else add([file]);
    };
  }
}

async function describe() {
  try {
    const model = await ask("model"), steps = model.pass.evaluations;
    at("model").textContent =
      `Model ${model.name}, version ${model.version}, ${steps} ${steps === 1 ? "step" : "steps"} towards noise.`;
    offer(model);
  } catch (error) {
    if (error.status === 401) askForKey(); else at("alert").textContent = error.message;
  }
}

at("key").onsubmit = event => {
  event.preventDefault();
  key = at("key-text").value;
  at("key").hidden = true;
  describe().then(work);
};
at("files").onchange = () => add(at("files").files);
// Everywhere, so that a picture dropped next to the field doesn't replace the page.
addEventListener("dragover", event => { event.preventDefault(); at("drop").classList.add("over"); });
addEventListener("dragleave", () => at("drop").classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  at("drop").classList.remove("over");
  add(event.dataTransfer.files);
});
addEventListener("paste", event => add(event.clipboardData.files));

// Browsers offer a camera only to pages of this machine and to pages over TLS.
let camera = null;
at("camera").hidden = !navigator.mediaDevices?.getUserMedia;
at("camera").onclick = event => run(event.target, async () => {
  camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 640 } });
  at("video").srcObject = camera;
  await at("video").play();
  at("viewfinder").hidden = false;
});
at("shutter").onclick = () => {
  const video = at("video"), { canvas, context } = canvasOf(video.videoWidth, video.videoHeight);
  context.drawImage(video, 0, 0);
  canvas.toBlob(blob => add([new File([blob], `photograph-${seen.length + 1}.jpg`)]), "image/jpeg", 0.9);
};
at("close-camera").onclick = () => {
  for (const track of camera.getTracks()) track.stop();
  at("viewfinder").hidden = true;
};

at("copy").onclick = async () => {
  try {
    await navigator.clipboard.writeText(at("command").textContent);
    at("copied").textContent = "Copied.";
  } catch {
    // Without TLS there is no clipboard; the text is selected instead.
    getSelection().selectAllChildren(at("command"));
    at("copied").textContent = "Selected; copy it with the keyboard.";
  }
};

describe().then(addSamples);
