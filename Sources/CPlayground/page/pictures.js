// Pixels of the pictures that the service answers.
function canvasOf(width, height) {
  const canvas = element("canvas", { width, height });
  return { canvas, context: canvas.getContext("2d", { willReadFrequently: true }) };
}

// The bytes of a data: URI.
const decoded = url => Uint8Array.from(atob(url.split(",")[1]), letter => letter.charCodeAt(0));

async function pixels(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const { context } = canvasOf(image.naturalWidth, image.naturalHeight);
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.naturalWidth, image.naturalHeight);
}

// How far two pictures of one size are apart in each pixel: the mean of the three channels, times 8.
function drawDifference(canvas, before, after) {
  canvas.width = before.width;
  canvas.height = before.height;
  const map = new ImageData(before.width, before.height);
  for (let i = 0; i < map.data.length; i += 4) {
    let sum = 0;
    for (let c = 0; c < 3; c++) sum += Math.abs(before.data[i + c] - after.data[i + c]);
    map.data.fill(8 * sum / 3, i, i + 3);
    map.data[i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(map, 0, 0);
}

// Frames of one size side by side, in rows of so many columns.
function drawStrip(canvas, frames, columns = frames.length) {
  const { width, height } = frames[0], context = canvas.getContext("2d");
  canvas.width = width * Math.min(columns, frames.length);
  canvas.height = height * Math.ceil(frames.length / columns);
  frames.forEach((frame, place) => context.putImageData(frame, width * (place % columns), height * Math.floor(place / columns)));
}

// The same picture with every pixel `factor` pixels wide and high.
function enlarged(frame, factor) {
  const small = canvasOf(frame.width, frame.height), large = canvasOf(frame.width * factor, frame.height * factor);
  small.context.putImageData(frame, 0, 0);
  large.context.imageSmoothingEnabled = false;
  large.context.drawImage(small.canvas, 0, 0, large.canvas.width, large.canvas.height);
  return large.context.getImageData(0, 0, large.canvas.width, large.canvas.height);
}

// How often a small picture has to be enlarged to be seen well.
const enlargement = frame => Math.max(1, Math.floor(192 / frame.width));

// Browsers limit the width of a canvas; longer strips have several rows.
const widestStrip = 8192;

function saveStrip(frames, name, columns = frames.length) {
  const { canvas } = canvasOf(1, 1), pictures = frames.map(frame => enlarged(frame, Math.min(4, enlargement(frame))));
  drawStrip(canvas, pictures, Math.min(columns, Math.floor(widestStrip / pictures[0].width)));
  canvas.toBlob(blob => download(blob, name), "image/png");
}

async function saveGIF(frames, name) {
  const stills = new Set([0, frames.length >> 1, frames.length - 1]);
  const delays = frames.map((_, place) => stills.has(place) ? 80 : 10);
  download(await gif(frames.map(frame => enlarged(frame, enlargement(frame))), delays), name);
}

// Moves a slider through its places. Pressed while it moves, its button pauses. A screen reader names the subject.
class Player {
  constructor(button, slider, subject) {
    this.button = button;
    this.slider = slider;
    this.subject = subject;
    this.timer = null;
    this.show("Play");
    button.onclick = () => this.timer === null ? this.start() : this.stop();
    // The user's hand on the slider, not `move`.
    slider.addEventListener("input", () => this.stop());
  }

  start() {
    const { slider } = this;
    if (Number(slider.value) >= Number(slider.max)) this.move(0);
    this.show("Pause");
    this.timer = setInterval(() => {
      if (Number(slider.value) >= Number(slider.max)) this.stop(); else this.move(Number(slider.value) + 1);
    }, 140);
  }

  move(place) {
    this.slider.value = place;
    this.slider.oninput();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.show("Play");
  }

  show(action) {
    this.button.textContent = action;
    this.button.setAttribute("aria-label", `${action}: ${this.subject}`);
  }
}
