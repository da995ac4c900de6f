// node.cjs URL PHOTO LOGO OPTIONS: posts both images with Node's fetch and with axios in their usual ways.
//
// Part of deploy/check-clients, which says what a line of the output means.
"use strict";

const { createReadStream, readFileSync } = require("node:fs");
const axios = require("axios");
const StreamedForm = require("form-data");

const [url, photo, logo, json] = process.argv.slice(2);
const options = JSON.parse(json);
const embed = `${url}/embed`;
const query = `${embed}?${new URLSearchParams(options)}`;
const files = [photo, logo].map((name) => readFileSync(name));
const names = ["фото 1.jpg", 'a "b"\\c.png'];
const texts = files.map((file) => file.toString("base64"));
const uris = [`data:image/jpeg;base64,${texts[0]}`, `data:image/png;base64,${texts[1]}`];

function record(what, status, body, images = 2, more = {}) {
  console.log(JSON.stringify({ what, status, body, images, ...more }));
}

/** Node's own FormData, which fetch writes. */
function form() {
  const form = new FormData();
  files.forEach((file, index) => form.append("image", new Blob([file]), names[index]));
  for (const [name, value] of Object.entries(options)) form.append(name, value);
  return form;
}

/** The form-data package's, which axios sends. */
function streamedForm(append) {
  const form = new StreamedForm();
  for (const [name, value] of Object.entries(options)) form.append(name, value);
  append(form);
  return form;
}

async function withFetch() {
  async function post(what, target, init, images, more) {
    const answer = await fetch(target, { method: "POST", ...init });
    record(`fetch, ${what}`, answer.status, await answer.text(), images, more);
  }
  const type = { "Content-Type": "application/json" };
  await post("FormData", embed, { body: form() });
  await post("a Blob", query, { body: new Blob([files[0]], { type: "image/jpeg" }) }, 1);
  await post("a Buffer", query, { body: files[0] }, 1);
  await post("JSON", embed, { headers: type, body: JSON.stringify({ images: texts, ...options }) });
  await post("JSON with data: URIs", embed, { headers: type, body: JSON.stringify({ images: uris, ...options }) });
  await post("JSON with a byte-order mark", embed, {
    headers: type, body: `\uFEFF${JSON.stringify({ images: texts, ...options })}`,
  });
  const says = (words) => [0, { says: words }];
  await post("JSON without its content type", embed, { body: JSON.stringify({ images: texts }) },
    ...says("set Content-Type: application/json"));
  await post("a data: URI as the body", embed, { body: uris[0] }, ...says("is a data: URI"));
  await post("a content type of its own for a form", embed, { headers: { "Content-Type": "multipart/form-data" }, body: form() },
    ...says("let the HTTP client set"));
  const wrong = new FormData();
  wrong.append("image", uris[0]);
  await post("a data: URI in a field", embed, { body: wrong }, ...says("wants a Blob"));
}

async function withAxios() {
  async function post(what, target, body, config = {}, images = 2) {
    const answer = await axios.post(target, body, { validateStatus: null, responseType: "text", transformResponse: [], ...config });
    record(`axios, ${what}`, answer.status, answer.data, images);
  }
  const buffers = streamedForm((form) => files.forEach((file, index) => form.append("image", file, { filename: names[index] })));
  await post("form-data of Buffers", embed, buffers, { headers: buffers.getHeaders() });
  const streams = streamedForm((form) => [photo, logo].forEach((name) => form.append("image", createReadStream(name))));
  await post("form-data of streams", embed, streams, { headers: streams.getHeaders() });
  const bytes = streamedForm((form) => files.forEach((file, index) => form.append("image", file, names[index])));
  await post("form-data as one Buffer", embed, bytes.getBuffer(), { headers: bytes.getHeaders() });
  // From 1.3 on, axios writes Node's own FormData by itself, with an empty line behind the final boundary.
  const [major, minor] = axios.VERSION.split(".").map(Number);
  if (major > 1 || minor >= 3) await post("FormData", embed, form());
  await post("an object as multipart/form-data", embed, { ...options, image: files[0] },
    { headers: { "Content-Type": "multipart/form-data" } }, 1);
  await post("a Buffer", query, files[0], { headers: { "Content-Type": "image/jpeg" } }, 1);
  await post("a stream", query, createReadStream(photo), { headers: { "Content-Type": "application/octet-stream" } }, 1);
  await post("JSON", embed, { images: texts, ...options });
  await post("JSON with data: URIs and nulls", embed, { images: uris, at: null, ...options });
}

withFetch().then(withAxios).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
