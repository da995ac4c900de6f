// Classes, and what embeddings say of the images in this page.
const percent = value => (100 * value).toFixed(1) + " %";
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

// A model may have a thousand classes.
const longestList = 20;

function knowledge(labels) {
  const count = labels.length, some = labels.slice(0, longestList).join(", ");
  return `The model knows ${count} classes: ${some}${count > longestList ? `, and ${count - longestList} more` : ""}. It always `
    + "chooses among them, even for an image of something else. A high percentage then means nothing.";
}

function showClasses(entry) {
  at("knows").textContent =
    entry.classes === null ? "This model has not learnt any classes." : knowledge(entry.labels);
  at("classes").replaceChildren(...(entry.classes ?? []).map(found => {
    const fill = element("span", { className: "fill" });
    fill.style.width = `${100 * found.probability}%`;
    const track = element("span", { className: "track" }, fill);
    track.setAttribute("aria-hidden", "true");
    return element("li", {},
      element("span", { textContent: found.label ?? `class ${found.index}` }),
      element("span", { textContent: percent(found.probability) }), track);
  }));
}

// Embeddings of different models can't be compared.
const comparable = entry => seen.filter(other => other.version === entry.version);

function showNeighbours(entry) {
  // The keyboard's focus stays in the list, whose buttons are replaced.
  const focused = at("neighbours").contains(document.activeElement) ? document.activeElement.entry : undefined;
  const near = comparable(entry).filter(other => other !== entry)
    .map(other => ({ other, cosine: dot(other.embedding, entry.embedding) })).sort((a, b) => b.cosine - a.cosine).slice(0, 5);
  at("no-neighbours").hidden = near.length > 0;
  at("neighbours").replaceChildren(...near.map(({ other, cosine }) => {
    const button = offer(element("button", { type: "button" }, element("img", { src: pictureOf(other), alt: `Show ${other.name}` })), other);
    return element("li", {}, button, element("span", { textContent: `${other.name}: cosine ${cosine.toFixed(3)}` }));
  }));
  const buttons = [...at("neighbours").querySelectorAll("button")];
  if (focused !== undefined) (buttons.find(button => button.entry === focused) ?? buttons[0])?.focus();
}

// The first two principal components of vectors: every vector's coordinates, from the eigenvectors of their Gram matrix, which is
// small where the covariance matrix isn't.
function principal(vectors) {
  const count = vectors.length;
  const mean = vectors[0].map((_, i) => vectors.reduce((sum, vector) => sum + vector[i], 0) / count);
  const centred = vectors.map(vector => vector.map((value, i) => value - mean[i]));
  const gram = centred.map(a => centred.map(b => dot(a, b)));
  return [0, 1].map(component => {
    let direction = vectors.map((_, i) => Math.cos(i + 1 + component)), value = 0;
    for (let round = 0; round < 200; round++) {
      const image = gram.map(row => dot(row, direction));
      value = Math.hypot(...image);
      if (value < 1e-12) return vectors.map(() => 0);
      direction = image.map(number => number / value);
    }
    gram.forEach((row, i) => row.forEach((_, j) => { row[j] -= value * direction[i] * direction[j]; }));
    return direction.map(number => number * Math.sqrt(value));
  });
}

function showMap(entry) {
  const entries = comparable(entry), axes = principal(entries.map(other => other.embedding));
  const reach = Math.max(1e-9, ...axes.flat().map(Math.abs)), side = 12;
  const place = coordinate => 50 + coordinate / reach * (50 - side / 2 - 1) - side / 2;
  const make = (name, attributes) => {
    const made = document.createElementNS(at("map").namespaceURI, name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    return made;
  };
  // The chosen image is drawn last, above the others.
  const order = entries.map((_, i) => i).sort((a, b) => (entries[a] === entry) - (entries[b] === entry));
  const frame = { x: place(axes[0][entries.indexOf(entry)]), y: place(axes[1][entries.indexOf(entry)]), width: side, height: side };
  at("map").replaceChildren(...order.map(i => make("image", {
    href: pictureOf(entries[i]), x: place(axes[0][i]), y: place(axes[1][i]), width: side, height: side, preserveAspectRatio: "xMidYMid slice"
  })), make("rect", frame));
  at("map").setAttribute("aria-label", `Map of ${entries.length} images, placed by their embeddings`);
}
