// The page's beginning: its photographs, and the ways in which users give it images of their own.
const page = {};

// What the page needs to know about the model. After a failure, the next choice asks for it again.
const describe = () => once(page, "description", async () => {
  const model = page.model = await ask("model"), steps = model.pass.times.length - 1;
  at("model").textContent =
    `Model ${model.name}, version ${model.version}, ${steps} ${steps === 1 ? "step" : "steps"} towards noise.`;
  at("latent-meaning").textContent = model.pass.reachesNoise
    ? "The state at the end is the latent: the noise that the image could have come from."
    : "The state at the end is the latent: the image part of the way to noise.";
  offerGeneration(model);
  at("model-alert").textContent = "";
  // A user who is faster than this description has chosen already.
  compute(samples, chosen === null);
});

// The service may have another model by now. Then nothing holds any more that is known of images, and all is asked for again.
async function noticeSwap() {
  const known = page.model;
  if (known === undefined) return;
  // What is known can be shown without the service.
  const { version } = await ask("model").catch(() => known);
  if (version === known.version || page.model !== known) return;
  page.model = undefined;
  page.description = null;
  const forgotten = seen.splice(0);
  for (const entry of forgotten) entry.comparison = entry.flow = null;
  await describe();
  compute(forgotten.filter(entry => !samples.includes(entry)), false);
}

const samples = [...at("samples").children].map(button => {
  const picture = button.firstElementChild, name = `${picture.alt.split(" ").pop()}.jpg`;
  return offer(button, entryOf(new File([decoded(picture.src)], name, { type: "image/jpeg" }))).entry;
});
showChoice();

// Emptied, so that the same file can be chosen again.
at("files").onchange = () => {
  add(at("files").files, true);
  at("files").value = "";
};
// Everywhere, so that a picture dropped next to the field doesn't replace the page.
addEventListener("dragover", event => { event.preventDefault(); at("drop").classList.add("over"); });
addEventListener("dragleave", () => at("drop").classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  at("drop").classList.remove("over");
  const { files } = event.dataTransfer;
  if (files.length === 0) at("alert").textContent = "That is not an image file. Save the image first, then drop the file.";
  add(files, true);
});
addEventListener("paste", event => add(event.clipboardData.files));

describe().catch(error => { at("model-alert").textContent = error.message; });
