// The page's beginning: its photographs, and the ways in which users give it images of their own.
const page = {};

// What the page needs to know about the model. After a failure, the next choice asks for it again.
const describe = () => once(page, "description", async () => {
  const model = await ask("model"), steps = model.pass.times.length - 1;
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

const samples = [...at("samples").children].map(button => {
  const picture = button.firstElementChild, name = `${picture.alt.split(" ").pop()}.jpg`;
  return offer(button, entryOf(new File([decoded(picture.src)], name, { type: "image/jpeg" }))).entry;
});
showChoice();

at("files").onchange = () => add(at("files").files, true);
// Everywhere, so that a picture dropped next to the field doesn't replace the page.
addEventListener("dragover", event => { event.preventDefault(); at("drop").classList.add("over"); });
addEventListener("dragleave", () => at("drop").classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  at("drop").classList.remove("over");
  add(event.dataTransfer.files, true);
});
addEventListener("paste", event => add(event.clipboardData.files));

describe().catch(error => { at("model-alert").textContent = error.message; });
