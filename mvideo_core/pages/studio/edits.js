// A list of edits applied to a clip (editing/edits.py): maps and frame numbers are composed, every mask is drawn once.
// An edit is {name, options}; `schema` is the JSON schema of the operation's options.
const MAX_FRAMES = 1 << 20;

function completeOptions(given, schema) {
  const options = {};
  Object.keys(given).forEach(function (name) { if (!schema.properties[name]) throw new Error("no option " + name); });
  Object.keys(schema.properties).forEach(function (name) {
    const about = schema.properties[name];
    options[name] = given[name] !== undefined ? given[name] : about.default === undefined ? null : about.default;
    checkNumber(options[name], about, name);
    const least = Math.max.apply(null, (about.anyOf || [about]).map(function (form) { return form.minItems || 0; }));
    if (Array.isArray(options[name]) && options[name].length < least) throw new Error(name + " has " + options[name].length + " values; at least " + least + " wanted");
  });
  return options;
}

function checkNumber(value, about, name) {
  const forms = (about.anyOf || [about]).filter(function (form) { return form.type === "number" || form.type === "integer"; });
  if (typeof value !== "number" || !forms.length) return;
  const form = forms[0], wrong = [
    [form.exclusiveMinimum !== undefined && value <= form.exclusiveMinimum, "above " + form.exclusiveMinimum],
    [form.minimum !== undefined && value < form.minimum, "at least " + form.minimum],
    [form.exclusiveMaximum !== undefined && value >= form.exclusiveMaximum, "below " + form.exclusiveMaximum],
    [form.maximum !== undefined && value > form.maximum, "at most " + form.maximum],
    [form.type === "integer" && !Number.isInteger(value), "a whole number"],
    [!Number.isFinite(value), "a number"]
  ].filter(function (rule) { return rule[0]; });
  if (wrong.length) throw new Error(name + " is " + value + "; it must be " + wrong[0][1]);
}

// Where objects are after pending changes; measured only when an operation asks.
function movedBy(state) {
  const clip = state.clip;
  return {
    n_frames: state.frames.length, n_objects: clip.n_objects, width: clip.width, height: clip.height, fps: clip.fps,
    visible: function (t, n) { return motionOf(clip).visible[n][state.frames[t]]; },
    anchor: function (name, t, n) {
      if (name === "frame") return [clip.width / 2, clip.height / 2];
      const motion = motionOf(clip), point = (name === "feet" ? motion.feet : motion.centers)[n][state.frames[t]];
      return mapPoint(state.map(t, n), point[0], point[1]);
    }
  };
}

function freshState(clip) {
  return { clip: clip, frames: range(clip.n_frames, Number), map: function () { return UNCHANGED; }, plain: true };
}

function retimed(state, name, options) {
  const index = TIMINGS[name](state.frames.length, state.clip.fps, options), before = state.map;
  if (!index.length) throw new Error("none of the frames is left");
  if (index.length > MAX_FRAMES) throw new Error(index.length + " frames; at most " + MAX_FRAMES + " allowed");
  checkShape(index.length, state.clip.n_objects, state.clip.height, state.clip.width);
  const map = function (t, n) { return before(index[t], n); };
  return { clip: state.clip, frames: index.map(function (t) { return state.frames[t]; }), map: map };
}

function warped(state, name, options) {
  const n = state.clip.n_objects, chosen = checkObjects(options.objects, n), outer = WARPS[name](movedBy(state), options);
  const maps = [];
  for (let t = 0; t < state.frames.length; t++) {
    for (let k = 0; k < n; k++) {
      const map = outer(t, k), before = state.map(t, k);
      if (!map.every(Number.isFinite)) throw new Error("its values overflow; use smaller ones");
      maps.push(chosen.includes(k) ? afterMap(map, before) : before);
    }
  }
  return { clip: state.clip, frames: state.frames, map: function (t, k) { return maps[t * n + k]; } };
}

function drawnClip(state) {
  const clip = state.clip, frames = state.frames;
  if (state.plain) return clip;
  return derivedClip(clip, { n_frames: frames.length }, function (t, n) {
    return warpEdges(clip.edges(frames[t], n), state.map(t, n), clip.height, clip.width);
  });
}

// The clip after all edits, with `steps`: the states that were drawn. A faulty edit raises an error with its number in `edit`.
function applyEdits(clip, edits, schemas) {
  let state = freshState(clip), steps = [];
  edits.forEach(function (edit, number) {
    try {
      if (!schemas[edit.name]) throw new Error("no such operation");
      const options = completeOptions(edit.options, schemas[edit.name]);
      if (WARPS[edit.name]) state = warped(state, edit.name, options);
      else if (TIMINGS[edit.name]) state = retimed(state, edit.name, options);
      else {
        const drawn = drawnClip(state);
        steps.push({ state: state, clip: drawn });
        state = freshState(REWRITES[edit.name](drawn, options));
      }
    } catch (error) {
      error.message = edit.name + ": " + error.message;
      error.edit = number;
      throw error;
    }
  });
  const drawn = drawnClip(state);
  steps.push({ state: state, clip: drawn });
  return { clip: drawn, steps: steps };
}

function framesSeen(clip, n, frames) {
  return frames.filter(function (t) { return t >= 0 && clip.edges(t, n).length > 0; }).length;
}

// Draws everything; raises an error if nothing is left, and returns warnings about what the edits lose or show.
function inspectSteps(steps) {
  const warnings = [];
  steps.forEach(function (step) {
    const before = step.state.clip, after = step.clip, all = range(after.n_frames, Number);
    const left = range(after.n_objects, function (n) { return framesSeen(after, n, all); });
    if (!left.some(Boolean)) throw new Error("no object is left in any frame; use smaller values");
    left.forEach(function (count, n) {
      const name = "object " + n + (after.labels[n] ? " (" + after.labels[n] + ")" : ""), had = framesSeen(before, n, step.state.frames);
      const ever = framesSeen(before, n, range(before.n_frames, Number));
      if (ever && (!count || 2 * count < had)) warnings.push(name + " is in " + count + " of " + after.n_frames + " frames");
      const cut = all.filter(function (t) { return cutShows(before.edges(step.state.frames[t], n), step.state.map(t, n), before.height, before.width); }).length;
      if (cut) warnings.push(name + ": in " + cut + " of " + after.n_frames + " frames its cut edge is inside the picture");
    });
  });
  return warnings;
}
