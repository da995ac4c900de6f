// Images from noise, and between two images.
const morphPlayer = new Player(at("morph-play"), at("morph-slider"), "the morph");
const usualSamples = 8, usualSteps = 17;
let mostSamples = 0;

// Shows what the model and the operator offer.
function offerGeneration(model) {
  mostSamples = model.generation?.maxSamples ?? 0;
  at("morph").hidden = mostSamples === 0;
  at("create").hidden = mostSamples === 0 || !model.pass.reachesNoise;
}

const sampleRequest = seed => `sample?count=${Math.min(usualSamples, mostSamples)}&seed=${seed}`;
const morphRequest = () => `interpolate?steps=${Math.min(usualSteps, mostSamples)}`;

function showMorphChoices(entry) {
  const entries = comparable(entry);
  for (const [id, fallback] of [["morph-from", 0], ["morph-to", 1]]) {
    const select = at(id), before = select.value;
    select.replaceChildren(...entries.map(other => element("option", { value: other.url, textContent: other.name })));
    select.value = entries.some(other => other.url === before) ? before : entries[fallback]?.url ?? "";
  }
}

// The chosen ends of a morph; undefined where there is no image yet.
const morphEnds = () => ["morph-from", "morph-to"].map(id => seen.find(entry => entry.url === at(id).value));
for (const id of ["morph-from", "morph-to"]) at(id).onchange = () => showCommands();

at("morph-go").onclick = event => run(event.target, async () => {
  const ends = morphEnds();
  if (ends.includes(undefined)) throw new Error("A morph needs two images. Choose another one first.");
  at("morph-status").textContent = "Computing the morph…";
  try {
    const form = new FormData();
    for (const end of ends) form.append("image", new Blob([await bodyOf(end)]), end.name);
    const { images, latents } = await ask(morphRequest(), form);
    showMorph(ends, images, await Promise.all(images.map(({ image }) => pixels(image))));
    at("morph-status").textContent = `The morph is ready. The cosine between the two latents is ${latents.cosine.toFixed(3)}.`;
  } catch (error) {
    at("morph-status").textContent = "";
    throw error;
  }
});

function showMorph(ends, images, frames) {
  const slider = at("morph-slider"), name = ends.map(stemOf).join("-to-");
  morphPlayer.stop();
  slider.max = images.length - 1;
  slider.oninput = () => {
    const { image, position } = images[Number(slider.value)], said = `${Math.round(100 * position)} % of the way`;
    slider.setAttribute("aria-valuetext", said);
    at("morph-image").src = image;
    at("morph-image").alt = `${said} from ${ends[0].name} to ${ends[1].name}`;
  };
  at("morph-gif").onclick = event =>
    run(event.target, () => saveGIF([...frames, ...frames.slice(0, -1).reverse()], `${name}.gif`));
  at("morph-png").onclick = () => saveStrip(frames, `${name}.png`);
  at("morph-results").hidden = false;
  morphPlayer.move(0);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) morphPlayer.start();
}

// The seed in the field; null if it is none.
function typedSeed() {
  const seed = at("seed").valueAsNumber;
  return Number.isSafeInteger(seed) && seed >= 0 ? seed : null;
}

at("seed").oninput = () => {
  at("seed").removeAttribute("aria-invalid");
  showCommands();
};

// Created images by their data, so that the same image created again is the same entry.
const createdEntries = new Map();

function createdEntry(image, name) {
  if (!createdEntries.has(image)) createdEntries.set(image, entryOf(new File([decoded(image)], name, { type: "image/png" })));
  return createdEntries.get(image);
}

// How many times images were asked for. Only the last answer is shown.
let creations = 0;

async function create() {
  const seed = typedSeed(), creation = ++creations;
  if (seed === null) {
    at("seed").setAttribute("aria-invalid", true);
    throw new Error(`A seed is a whole number from 0 to ${Number.MAX_SAFE_INTEGER}.`);
  }
  showCommands();
  at("create-status").textContent = "Computing the images…";
  try {
    const { images } = await ask(sampleRequest(seed), undefined, "POST");
    if (creation !== creations) return;
    at("created").replaceChildren(...images.map(({ index, image }) => {
      const alt = `Image ${index + 1} of ${images.length}, created from seed ${seed}`;
      const picture = element("img", { src: image, alt, className: "pixels" });
      return offer(element("button", { type: "button" }, picture), createdEntry(image, `seed-${seed}-${index}.png`));
    }));
    showChoice();
    at("save-created").hidden = false;
    at("save-created").onclick = async () =>
      saveStrip(await Promise.all(images.map(({ image }) => pixels(image))), `seed-${seed}.png`, 4);
    at("create-status").textContent = `${images.length} images created from seed ${seed}.`;
  } catch (error) {
    if (creation !== creations) return;
    at("create-status").textContent = "";
    throw error;
  }
}

at("sample").onclick = event => run(event.target, create);
at("next-seed").onclick = event => run(event.target, () => {
  if (typedSeed() !== null) at("seed").value = typedSeed() + 1;
  return create();
});
