// The project: inputs (clips by name), layers with edits, how they are combined, edits of the whole; with its history.
const data = JSON.parse(document.getElementById("data").textContent);
const inputs = {};
let project = { layers: [], combine: startOptions(data.combine), edits: [] };
let target = "whole", chosen = [], frame = 0, past = [], future = [], made = null, fault = null;

function startOptions(properties) {
  const options = {};
  Object.keys(properties).forEach(function (name) { options[name] = properties[name].default; });
  return options;
}

function copyOf(value) { return JSON.parse(JSON.stringify(value)); }

function targetEdits() { return target === "whole" ? project.edits : project.layers[target].edits; }

// Changes the project; consecutive changes with the same `what` count as one for undo.
let lastWhat = "";
function change(what, work) {
  if (!what || what !== lastWhat) past.push(JSON.stringify([project, target]));
  if (past.length > 200) past.shift();
  lastWhat = what;
  future = [];
  work();
  made = null;
}

function stepHistory(from, to) {
  if (!from.length) return false;
  to.push(JSON.stringify([project, target]));
  [project, target] = JSON.parse(from.pop());
  lastWhat = "";
  made = null;
  return true;
}

// The clip that the project makes; the last good one stays, with `fault`, if an edit does not fit.
function result() {
  if (made || !project.layers.length) return made;
  let where = "whole", kept = result.last;
  try {
    const layers = project.layers.map(function (layer, number) {
      where = number;
      const done = layerDone(layer);
      return { clip: done.clip, steps: done.steps, start_s: layer.start_s, tail: layer.tail };
    });
    where = "whole";
    const combined = combineLayers(layers, project.combine), done = applyEdits(combined, project.edits, data.operations);
    made = { clip: done.clip, steps: done.steps, combined: combined, layers: layers };
    result.last = made;
    fault = null;
  } catch (error) {
    fault = { target: where, edit: error.edit, message: error.message };
    made = kept || null;
  }
  if (made) frame = Math.max(0, Math.min(frame, made.clip.n_frames - 1));
  return made;
}

// The edited clip of a layer; evaluated again only if its edits changed, so that its masks are drawn once.
const heldLayers = new Map();
function layerDone(layer) {
  const key = JSON.stringify([layer.input, layer.edits]);
  if (!heldLayers.has(key)) {
    if (heldLayers.size > 20) heldLayers.clear();
    heldLayers.set(key, applyEdits(inputs[layer.input].clip, layer.edits, data.operations));
  }
  return heldLayers.get(key);
}

// Draws everything; returns warnings.
function inspected() {
  const now = result();
  if (fault) throw new Error(fault.message);
  return [].concat.apply([], now.layers.map(function (layer) { return inspectSteps(layer.steps); })).concat(inspectSteps(now.steps));
}

// What object k of the picture is in the target's clip: its number there, or -1.
function inTarget(k) {
  if (target === "whole") return k;
  const now = result(), owner = now.combined.owners[now.clip.origin[k]];
  return owner[0] === target ? owner[1] : -1;
}

// The layer of object k of the picture.
function layerOf(k) {
  const now = result();
  return now.combined.owners[now.clip.origin[k]][0];
}

// The clip that the target's edits made, and its frame that the picture shows now (HIDDEN if none).
function targetClip() {
  const now = result();
  return target === "whole" ? now.clip : now.layers[target].clip;
}

function targetFrame() {
  const now = result();
  if (target === "whole") return frame;
  // Timing edits of the whole picture choose the combined frame.
  const state = now.steps[now.steps.length - 1].state, whole = now.steps.length === 1 ? state.frames[frame] : frame;
  return now.combined.frameOf(now.layers[target], whole);
}

// Numbers of the picture's objects that the next edit applies to.
function chosenInPicture() {
  const now = result();
  return range(now.clip.n_objects, Number).filter(function (k) { const n = inTarget(k); return n >= 0 && (!chosen.length || chosen.includes(n)); });
}

function objectsOption() {
  const n = targetClip().n_objects;
  return chosen.length && chosen.length < n ? chosen.slice().sort(function (a, b) { return a - b; }) : null;
}

// Time of the shown frame on the target's own clock; rounded, so that a recipe stays readable.
function here() {
  const t = targetFrame();
  return Math.round((t === HIDDEN ? 0 : t) / targetClip().fps * 1e6) / 1e6;
}

function addLayer(name) {
  change("", function () {
    project.layers.push({ input: name, edits: [], start_s: 0, tail: "hide" });
    target = project.layers.length - 1;
    chosen = [];
  });
}

function addEdit(name) {
  const properties = data.operations[name].properties, options = {}, objects = objectsOption();
  if (properties.objects && name !== "swap") {
    if (objects) options.objects = objects;
    else if (name === "keep" || name === "hide") options.objects = [0];
  }
  if (name === "stretch") options.speed = 0.5;
  change("", function () { targetEdits().push({ name: name, options: options }); });
}

// The edit that a drag continues: the last `translate` of just these objects, if later edits keep its directions and times.
const KEEP_DIRECTIONS = ["translate", "slope", "pan"];
function pathEdit() {
  const edits = targetEdits(), objects = JSON.stringify(objectsOption());
  for (let i = edits.length - 1; i >= 0 && KEEP_DIRECTIONS.includes(edits[i].name); i--) {
    if (edits[i].name === "translate" && JSON.stringify(edits[i].options.objects || null) === objects) return edits[i];
  }
  return null;
}

// Moves the chosen objects at this frame by fractions of the frame, from where `start` has them: a key of the path.
function moveChosen(dx, dy, start, what) {
  const t = targetFrame();
  if (t === HIDDEN) throw new Error("this layer is hidden at this frame");
  change(what, function () {
    let edit = pathEdit();
    if (!edit) {
      const objects = objectsOption();
      edit = { name: "translate", options: objects ? { objects: objects } : {} };
      targetEdits().push(edit);
    }
    const time = here(), from = start || offsetNow(edit, t);
    ["x_frac", "y_frac"].forEach(function (name, axis) {
      const before = edit.options[name], keys = Array.isArray(before) ? before : edit.options.x_frac === undefined && edit.options.y_frac === undefined ? [] : [[0, before || 0]];
      edit.options[name] = withKey(keys, time, [Math.round((from[axis] + (axis ? dy : dx)) * 1e4) / 1e4]);
    });
  });
}

// How far a path has moved its objects at frame t of the target, fractions of the frame.
function offsetNow(edit, t) {
  const clip = targetClip();
  return ["x_frac", "y_frac"].map(function (name) {
    const value = edit ? edit.options[name] : undefined;
    return value === undefined ? 0 : valuesOf(value, clip.n_frames, clip.fps, edit.options.ease || "linear")[t];
  });
}

// Frames of the picture that hold a key of the path which a drag would continue.
function keyFrames() {
  const edit = pathEdit();
  if (!edit || !Array.isArray(edit.options.x_frac)) return [];
  const clip = targetClip(), start = target === "whole" ? 0 : project.layers[target].start_s, fps = result().clip.fps;
  return edit.options.x_frac.map(function (key) { return Math.round((secondsOf(key[0], clip.n_frames, clip.fps) + start) * fps); });
}
