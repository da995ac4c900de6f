// Images from noise, and between two images.
const morphPlayer = new Player(at("morph-play"), at("morph-slider"));

// What the model or the operator doesn't offer isn't shown.
function offer(model) {
  at("create").hidden = !model.pass.reachesNoise;
}

function showMorphChoices(entry) {
  const entries = comparable(entry);
  for (const [id, fallback] of [["morph-from", 0], ["morph-to", 1]]) {
    const select = at(id), before = select.value;
    select.replaceChildren(...entries.map(other => element("option", { value: other.url, textContent: other.name })));
    select.value = entries.some(other => other.url === before) ? before : entries[fallback]?.url ?? "";
  }
  at("morph-go").disabled = entries.length < 2;
}

at("morph-go").onclick = event => run(event.target, async () => {
  const ends = ["morph-from", "morph-to"].map(id => seen.find(entry => entry.url === at(id).value));
  const form = new FormData();
  for (const end of ends) form.append("image", new Blob([end.body]), end.name);
  const { images, latents } = await makes("morph", ask("interpolate?steps=17", form));
  const frames = await Promise.all(images.map(({ image }) => pixels(image))), slider = at("morph-slider");
  const name = ends.map(end => end.name.replace(/\.[^.]*$/, "")).join("-to-");
  morphPlayer.stop();
  slider.max = images.length - 1;
  slider.oninput = () => {
    const { image, position } = images[Number(slider.value)], said = `${Math.round(100 * position)} % of the way`;
    slider.setAttribute("aria-valuetext", said);
    at("morph-image").src = image;
    at("morph-image").alt = `${said} from ${ends[0].name} to ${ends[1].name}`;
  };
  at("morph-gif").onclick = () => saveGIF([...frames, ...frames.slice(0, -1).reverse()], `${name}.gif`);
  at("morph-note").textContent = `The cosine between the two latents is ${latents.cosine.toFixed(3)}.`;
  at("morph-results").hidden = false;
  morphPlayer.move(0);
  morphPlayer.start();
});

at("sample").onclick = event => run(event.target, async () => {
  const { seed, images } = await makes("create", ask(`sample?count=8&seed=${at("seed").valueAsNumber || 0}`, undefined, "POST"));
  at("created").replaceChildren(...images.map(({ index, image }) => {
    const name = `seed-${seed}-${index}.png`;
    const picture = element("img", { src: image, alt: `Run ${name} back to noise`, className: "pixels" });
    return element("button", { type: "button", onclick: () => add([new File([decoded(image)], name)]) }, picture);
  }));
});
at("next-seed").onclick = () => {
  at("seed").value = (at("seed").valueAsNumber || 0) + 1;
  at("sample").click();
};

// Waits for images; if the service makes none, the section disappears.
async function makes(section, answer) {
  try {
    return await answer;
  } catch (error) {
    if (error.code === "not_found") at(section).hidden = true;
    throw error;
  }
}
