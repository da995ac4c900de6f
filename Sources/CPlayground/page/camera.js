// Photographs by a camera, which browsers offer only to pages of this machine and to pages over TLS.
let camera = null;

const cameraProblems = {
  NotAllowedError: "The browser doesn't let this page use the camera. Allow it in the browser's settings.",
  NotFoundError: "The browser found no camera. Connect one, or choose an image file.",
  NotReadableError: "The camera can't be used. Another program may be using it."
};

at("camera").hidden = !navigator.mediaDevices?.getUserMedia;
at("camera").onclick = event => run(event.target, async () => {
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 640 } });
    at("video").srcObject = camera;
    await at("video").play();
  } catch (error) {
    closeCamera();
    throw new Error(cameraProblems[error.name] ?? error.message);
  }
  at("viewfinder").hidden = false;
  at("shutter").focus();
  at("camera").hidden = true;
});

function closeCamera() {
  for (const track of camera?.getTracks() ?? []) track.stop();
  camera = null;
  at("video").srcObject = null;
  at("camera").hidden = false;
  at("viewfinder").hidden = true;
}

at("shutter").onclick = () => {
  const video = at("video"), { canvas, context } = canvasOf(video.videoWidth, video.videoHeight);
  context.drawImage(video, 0, 0);
  canvas.toBlob(blob => add([new File([blob], "photograph.jpg", { type: "image/jpeg" })]), "image/jpeg", 0.9);
};
at("close-camera").onclick = () => {
  closeCamera();
  at("camera").focus();
};
