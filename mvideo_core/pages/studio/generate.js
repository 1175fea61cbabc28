// Generation beside the studio, by the server that sent this page.
const token = new URLSearchParams(location.search).get("token") || "", POLL_MS = 500;
const beside = new Painter(node("beside"), data.colors);
let generated = null, polling = false;

function ask(path, body) {
  const asked = body === undefined ? fetch(path + "?token=" + encodeURIComponent(token)) : fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json", "X-Studio-Token": token }, body: JSON.stringify(body)
  });
  return asked.then(function (answer) {
    return answer.json().then(function (found) {
      if (!answer.ok) throw new Error(found.error);
      return found;
    });
  }, function () { throw new Error("The server does not answer; start `mvideo studio` again."); });
}

function bytesBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode.apply(null, bytes.subarray(i, i + 8192));
  return btoa(text);
}

function showProgress(found) {
  const busy = found.state === "loading" || found.state === "running";
  node("generate").disabled = busy;
  node("cancel").hidden = !busy;
  node("progress-label").hidden = !busy;
  if (found.total) node("progress").value = found.done / found.total; else node("progress").removeAttribute("value");
  node("progress-text").textContent = found.total ? "step " + found.done + " of " + found.total : "loading the model";
  if (found.state === "failed") say(found.error, true);
  if (found.state === "stopped") say("Generation stopped.");
  return busy;
}

async function poll() {
  if (polling) return;
  polling = true;
  try {
    let found = await ask("state");
    while (showProgress(found)) {
      await new Promise(function (done) { setTimeout(done, POLL_MS); });
      found = await ask("state");
    }
    if (found.state === "done") await showVideo(found);
  } catch (error) { say(error.message, true); }
  polling = false;
}

async function showVideo(found) {
  const answer = await fetch("video?token=" + encodeURIComponent(token));
  generated = readMasks(base64Bytes(found.masks), found.fps, found.labels);
  node("video").src = URL.createObjectURL(await answer.blob());
  node("video-about").textContent = found.frames + " frames in " + found.seconds + " s: " + found.video;
  node("pair").hidden = false;
  drawBeside();
  say("The video is finished.");
}

// The masks at the time of the video.
function drawBeside() {
  if (!generated) return;
  const t = Math.min(Math.floor(node("video").currentTime * generated.fps + 0.01), generated.n_frames - 1);
  beside.draw(generated, t, null);
}

function follow() {
  drawBeside();
  if (!node("video").paused) requestAnimationFrame(follow);
}

["play", "seeked", "timeupdate", "loadeddata"].forEach(function (name) { node("video").addEventListener(name, follow); });

node("generate").onclick = finished(function (clip) {
  const body = {
    prompt: node("prompt").value, masks: bytesBase64(writeMasks(clip)), fps: clip.fps, labels: clip.labels,
    steps: Number(node("steps").value), seed: Number(node("seed").value)
  };
  ask("generate", body).then(poll, function (error) { say(error.message, true); });
}, "Generating.");
node("cancel").onclick = function () { ask("stop", {}).catch(function (error) { say(error.message, true); }); };

ask("model").then(function (found) {
  node("model").textContent = "Model: " + found.model + ". " + found.note;
}, function (error) { node("model").textContent = error.message; });
poll();
