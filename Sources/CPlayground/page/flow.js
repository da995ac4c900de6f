// An image's way towards noise and back.
const player = new Player(at("play"), at("slider"), "the way towards noise and back");

// The way back begins with the state at which the way towards noise ends.
const statesOf = ({ upstream, downstream }) => [
  ...upstream.map(state => ({ ...state, way: "towards noise" })),
  ...downstream.slice(1).map(state => ({ ...state, way: "back" }))];

const framesOf = flow => Promise.all(statesOf(flow).map(state => pixels(state.image)));

function showFlow(entry, flow, frames) {
  const { upstream, downstream, roundTrip } = flow, states = statesOf(flow);
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
  at("flow").classList.remove("waiting");
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
  at("difference").setAttribute("aria-label", `Difference between the image and its reconstruction, ${levels} of 255 levels on average`);
  at("error").textContent = `The reconstruction differs from what the model sees by ${levels} of 255 brightness levels on average. `
    + `The relative error of the model's numbers is ${roundTrip.relativeError.toFixed(3)}.`;
  at("save-gif").onclick = event => run(event.target, () => saveGIF(frames, `${stemOf(entry)}.gif`));
  at("save-png").onclick = () => saveStrip(frames, `${stemOf(entry)}-flow.png`);
}

// A file's name without its ending.
const stemOf = entry => entry.name.replace(/\.[^.]*$/, "");
