// An image's way to noise and back.
const player = new Player(at("play"), at("slider"));

async function showFlow(entry) {
  const { upstream, downstream, roundTrip } = entry.flow;
  const states = [
    ...upstream.map(state => ({ ...state, way: "towards noise" })),
    // The way back begins with the state at which the way to noise ends.
    ...downstream.slice(1).map(state => ({ ...state, way: "back" }))];
  const frames = await Promise.all(states.map(state => pixels(state.image)));
  const name = state => `t = ${Number(state.time.toFixed(3))}, ${state.way}`;
  const slider = at("slider"), latent = upstream[upstream.length - 1];
  player.stop();
  slider.max = states.length - 1;
  slider.oninput = () => {
    const state = states[Number(slider.value)];
    slider.setAttribute("aria-valuetext", name(state));
    at("state").src = state.image;
    at("state").alt = `The state at ${name(state)}`;
    at("state-name").textContent = name(state);
  };
  player.move(0);
  drawStrip(at("film"), frames);
  at("image").src = entry.url;
  at("image").alt = entry.name;
  at("image-name").textContent = entry.name;
  at("before").src = upstream[0].image;
  at("latent").src = latent.image;
  at("latent").alt = `The latent, at t = ${Number(latent.time.toFixed(3))}`;
  at("latent-name").textContent = at("latent").alt;
  at("after").src = downstream[downstream.length - 1].image;
  drawDifference(at("difference"), frames[0], frames[frames.length - 1]);
  const levels = roundTrip.meanAbsoluteError.toFixed(1);
  at("difference").setAttribute("aria-label", `Where the image after the way back differs, ${levels} of 255 levels on average`);
  at("error").textContent = `Round trip: relative error ${roundTrip.relativeError.toFixed(3)} in the model's space, `
    + `${levels} of 255 levels on average.`;
  const stem = entry.name.replace(/\.[^.]*$/, "");
  at("save-gif").onclick = () => saveGIF(frames, `${stem}.gif`);
  at("save-png").onclick = () => saveStrip(frames, `${stem}-flow.png`);
}
