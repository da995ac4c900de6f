// An animated GIF (GIF89a, CompuServe 1990) of frames of one size, which repeats for ever. `delays` are hundredths of a second. The
// page stays alive meanwhile.
async function gif(frames, delays) {
  const { width, height } = frames[0], bytes = [];
  // In millions of pixels, colours that differ by a thirtieth count as one: otherwise finding a palette takes minutes.
  const mask = frames.length * width * height > 1 << 21 ? 0xf8f8f8 : 0xffffff;
  const palette = medianCut(frames, 256, mask), index = nearest(palette, mask);
  const short = value => bytes.push(value & 255, value >> 8 & 255);
  const text = value => bytes.push(...[...value].map(letter => letter.charCodeAt(0)));
  text("GIF89a");
  short(width);
  short(height);
  bytes.push(0xf7, 0, 0);
  for (let i = 0; i < 256; i++) bytes.push(...(palette[i] ?? [0, 0, 0]));
  bytes.push(0x21, 0xff, 11);
  text("NETSCAPE2.0");
  bytes.push(3, 1, 0, 0, 0);
  for (const [place, frame] of frames.entries()) {
    await new Promise(done => setTimeout(done));
    bytes.push(0x21, 0xf9, 4, 4);
    short(delays[place]);
    bytes.push(0, 0, 0x2c, 0, 0, 0, 0);
    short(width);
    short(height);
    bytes.push(0, 8);
    const indices = new Uint8Array(width * height);
    for (let i = 0; i < indices.length; i++) {
      indices[i] = index(frame.data[4 * i], frame.data[4 * i + 1], frame.data[4 * i + 2]);
    }
    const packed = lzw(indices);
    for (let start = 0; start < packed.length; start += 255) {
      const block = packed.slice(start, start + 255);
      bytes.push(block.length, ...block);
    }
    bytes.push(0);
  }
  bytes.push(0x3b);
  return new Blob([new Uint8Array(bytes)], { type: "image/gif" });
}

// Up to `count` colours: the box with the longest side is cut at its median until there are enough, and each gives its mean.
function medianCut(frames, count, mask) {
  const colours = new Map();
  for (const { data } of frames) {
    for (let i = 0; i < data.length; i += 4) {
      const name = (data[i] << 16 | data[i + 1] << 8 | data[i + 2]) & mask;
      if (!colours.has(name)) colours.set(name, [data[i], data[i + 1], data[i + 2]]);
    }
  }
  const side = box => [0, 1, 2].map(c => {
    let low = 255, high = 0;
    for (const colour of box) { low = Math.min(low, colour[c]); high = Math.max(high, colour[c]); }
    return high - low;
  });
  const measured = box => { const sides = side(box), length = Math.max(...sides); return { box, length, axis: sides.indexOf(length) }; };
  const boxes = [measured([...colours.values()])];
  while (boxes.length < count) {
    boxes.sort((a, b) => a.length - b.length);
    const { box, length, axis } = boxes[boxes.length - 1];
    if (length === 0) break;
    boxes.pop();
    box.sort((a, b) => a[axis] - b[axis]);
    boxes.push(measured(box.slice(0, box.length >> 1)), measured(box.slice(box.length >> 1)));
  }
  return boxes.map(({ box }) => [0, 1, 2].map(c => Math.round(box.reduce((sum, colour) => sum + colour[c], 0) / box.length)));
}

// A function from a colour to the index of the nearest one in a palette, which remembers what it has found.
function nearest(palette, mask) {
  const found = new Map();
  return (red, green, blue) => {
    const name = (red << 16 | green << 8 | blue) & mask;
    let best = found.get(name);
    if (best === undefined) {
      let least = Infinity;
      palette.forEach(([r, g, b], place) => {
        const distance = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
        if (distance < least) { least = distance; best = place; }
      });
      found.set(name, best);
    }
    return best;
  };
}

// Codes of 9 to 12 bits for indices of 8 bits, the least significant bit first.
function lzw(indices) {
  const clear = 256, end = 257, bytes = [];
  let table, next, width, buffer = 0, filled = 0;
  const emit = code => {
    buffer |= code << filled;
    filled += width;
    for (; filled >= 8; filled -= 8, buffer >>>= 8) bytes.push(buffer & 255);
  };
  const restart = () => { table = new Map(); next = 258; width = 9; };
  restart();
  emit(clear);
  let prefix = indices[0];
  for (let i = 1; i < indices.length; i++) {
    const name = prefix << 8 | indices[i], code = table.get(name);
    if (code !== undefined) { prefix = code; continue; }
    emit(prefix);
    if (next < 4096) {
      table.set(name, next);
      if (next++ === 1 << width) width++;
    } else {
      emit(clear);
      restart();
    }
    prefix = indices[i];
  }
  emit(prefix);
  emit(end);
  if (filled > 0) bytes.push(buffer & 255);
  return bytes;
}
