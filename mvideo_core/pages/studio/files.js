// Opening and saving. Everything stays in the browser.
function base64Bytes(text) {
  const letters = atob(text.replace(/-/g, "+").replace(/_/g, "/")), out = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) out[i] = letters.charCodeAt(i);
  return out;
}

// A short name that no other input has: of a file without its folder and ending, or the key of a sample.
function freeName(text) {
  const stem = text.replace(/^.*[/\\#]/, "").replace(/\.\w{1,5}$/, "").replace(/[^\p{L}\p{N}_-]+/gu, "_") || "masks";
  let name = stem, n = 2;
  while (inputs[name]) name = stem + "_" + n++;
  return name;
}

function addInput(fileName, bytes, about) {
  const labels = about.objects ? about.objects.map(function (one) { return one.label; }) : about.labels || [];
  performance.mark("read");
  const clip = readMasks(bytes, about.fps > 0 ? about.fps : data.fps, labels), name = freeName(fileName);
  performance.measure("read masks", "read");
  if (!clip.n_frames || !clip.n_objects) throw new Error("there is no mask in it");
  inputs[name] = { clip: clip, file: fileName };
  addLayer(name);
  return name + (about.fps > 0 ? "" : ", " + data.fps + " frames per second assumed");
}

async function openFiles(files) {
  const about = {}, masks = [], said = [];
  let bad = false;
  for (const file of files) {
    try {
      if (!file.name.endsWith(".json")) masks.push(file);
      else about[file.name.replace(/\.json$/, "").replace(/\.masks$/, "")] = JSON.parse(await file.text());
    } catch (error) { said.push(file.name + ": not JSON"); bad = true; }
  }
  for (const file of masks) {
    try {
      said.push(addInput(file.name, new Uint8Array(await file.arrayBuffer()), about[file.name.replace(/\.masks$/, "")] || {}));
    } catch (error) { said.push(file.name + ": " + error.message); bad = true; }
  }
  show();
  say((bad ? "" : "Opened: ") + said.join("; ") + ".", bad);
}

function save(name, content, type) {
  const link = el("a", { href: URL.createObjectURL(new Blob([content], { type: type })), download: name });
  link.click();
  setTimeout(function () { URL.revokeObjectURL(link.href); }, 60000);
}

function recipeProject() {
  const about = {};
  Object.keys(inputs).forEach(function (name) { about[name] = inputs[name].file; });
  return {
    title: node("title").value || "Made in the mask studio", prompt: node("prompt").value || "A video.", inputs: about,
    layers: project.layers, combine: project.combine, edits: project.edits
  };
}

// A word for a POSIX shell.
function quoted(text) { return /^[\w@%+=:,./-]+$/.test(text) ? text : "'" + text.replace(/'/g, "'\\''") + "'"; }

function showCommand() {
  const used = Object.keys(inputs).filter(function (name) { return project.layers.some(function (layer) { return layer.input === name; }); });
  const parts = used.map(function (name) { return " -i " + quoted(name + "=" + inputs[name].file); });
  node("command").textContent = used.length ? "To run the recipe: mvideo masks recipe studio.yaml" + parts.join("") + " --out studio/" : "";
}

// The finished clip with a word about what its edits lose; saving refuses what Python refuses.
function finished(work, word) {
  return function () {
    if (!result()) { say("Open masks first.", true); return; }
    try {
      const warnings = inspected(), more = work(result().clip);
      say([word || "Saved."].concat(warnings.map(function (one) { return one + "."; }), more || []).join(" "), warnings.length > 0);
    } catch (error) { say(error.message, true); }
  };
}

node("save-recipe").onclick = finished(function () { save("studio.yaml", recipeText(recipeProject(), data.combine), "text/yaml"); });
node("save-masks").onclick = finished(function (clip) { save("studio.masks", writeMasks(clip), "application/octet-stream"); });
node("save-names").onclick = finished(function (clip) {
  save("studio.masks.json", JSON.stringify({ fps: clip.fps, labels: clip.labels }) + "\n", "application/json");
});
node("save-video").onclick = finished(function (clip) {
  const done = writeGrayVideo(clip);
  save("studio.mp4", done.file, "video/mp4");
  return done.lost ? [done.lost + " px of hidden parts of overlapping objects are not in the video; .masks keeps them."] : [];
});

node("files").onchange = function () { openFiles(Array.from(node("files").files)); };
document.addEventListener("dragover", function (event) { event.preventDefault(); document.querySelector(".frame").classList.add("over"); });
["dragleave", "drop"].forEach(function (name) {
  document.addEventListener(name, function () { document.querySelector(".frame").classList.remove("over"); });
});
document.addEventListener("drop", function (event) {
  event.preventDefault();
  openFiles(Array.from(event.dataTransfer.files));
});

// Start: the operations by kind, then masks that came with the page or its address (#name=...&fps=...&labels=[...]&masks=...).
function start() {
  const first = ["translate", "scale", "zoom", "slope", "stretch"], names = Object.keys(data.operations);
  [["Often used", first], ["All", names]].forEach(function (group) {
    node("operation").append(el("optgroup", { label: group[0] }, group[1].map(function (name) { return el("option", { value: name }, [name.replace(/_/g, " ")]); })));
  });
  showAbout();
  const given = new URLSearchParams(location.hash.slice(1)), opened = data.masks.slice();
  try {
    if (given.get("masks")) opened.push({ name: given.get("name") || "masks", fps: Number(given.get("fps")), labels: JSON.parse(given.get("labels") || "[]"), masks: given.get("masks") });
    opened.forEach(function (one) { addInput(one.name, base64Bytes(one.masks), one); });
    say(opened.length ? "Choose an object and drag it." : "Open a .masks file to start.");
  } catch (error) { say("These masks cannot be opened: " + error.message, true); }
  past = [];
  show();
}

start();
