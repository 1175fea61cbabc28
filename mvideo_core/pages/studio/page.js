// The page: picture, layers, edits, keys, files.
const painter = new Painter(node("picture"), data.colors);
let timer = null, drag = null, paths = { made: null, points: new Map() };

function colorOf(k) { return data.colors[k % data.colors.length]; }

function show() {
  const now = result();
  document.querySelectorAll("[data-needs-masks]").forEach(function (one) { one.disabled = !now; });
  showFrame();
  showObjects();
  showLayers();
  showEdits();
  showCommand();
}

// After a change of values: everything but the forms.
function refresh() {
  result();
  showFrame();
  showFault();
  showObjects();
}

function showFrame() {
  const now = result(), slider = node("slider");
  slider.disabled = !now;
  if (!now) return;
  slider.max = now.clip.n_frames - 1;
  slider.value = frame;
  node("at").textContent = frame + " of " + (now.clip.n_frames - 1);
  const shown = chosenInPicture();
  painter.draw(now.clip, frame, shown);
  if (chosen.length || drag) shown.forEach(function (k) { painter.outline(now.clip, frame, k); });
  if (chosen.length && !drag && timer === null) shown.forEach(function (k) { painter.path(pathOf(k), keyFrames(), frame, colorOf(k)); });
}

// Centers of an object over the clip; null where it is hidden.
function pathOf(k) {
  const now = result();
  if (paths.made !== now) paths = { made: now, points: new Map() };
  if (!paths.points.has(k)) {
    paths.points.set(k, range(now.clip.n_frames, function (t) {
      const edges = now.clip.edges(t, k);
      return edges.length ? pointsOf(edges, now.clip.width).center : null;
    }));
  }
  return paths.points.get(k);
}

function showFault() {
  Array.from(node("edits").children).forEach(function (item, number) {
    const wrong = fault && fault.target === target && fault.edit === number;
    item.classList.toggle("faulty", Boolean(wrong));
  });
  if (fault) say((fault.target === "whole" ? "Whole picture: " : "Layer " + (fault.target + 1) + ": ") + fault.message, true);
  else if (node("status").classList.contains("bad")) say("");
}

function showObjects() {
  const now = result();
  if (!now) return;
  const clip = targetClip();
  const buttons = range(clip.n_objects, function (n) {
    const k = range(now.clip.n_objects, Number).find(function (one) { return inTarget(one) === n; });
    const swatch = el("span", { class: "swatch", style: "background:" + colorOf(k === undefined ? n : k) });
    return el("button", { type: "button", "aria-pressed": String(chosen.includes(n)), onclick: function () { choose(n); } }, [
      swatch, n + " " + (clip.labels[n] || "object") + " ", n < 10 ? el("kbd", {}, [String(n)]) : null
    ]);
  });
  const about = target === "whole" ? "Whole picture:" : "Layer " + (target + 1) + ":";
  node("objects").replaceChildren.apply(node("objects"), [el("span", {}, [about])].concat(buttons));
}

function choose(n) {
  if (n >= targetClip().n_objects) return;
  chosen = chosen.includes(n) ? chosen.filter(function (one) { return one !== n; }) : chosen.concat([n]);
  showObjects();
  showFrame();
}

function open(where) {
  target = where;
  chosen = [];
  show();
}

function layerItem(layer, number) {
  const act = function (label, text, work, disabled) {
    return el("button", { type: "button", "aria-label": label + " layer " + (number + 1), disabled: disabled, onclick: function () { change("", work); show(); } }, [text]);
  };
  const update = function (name) { return function (value) { if (value === null) return; change("", function () { layer[name] = value; }); refresh(); }; };
  const move = function (to) { return function () { project.layers.splice(to, 0, project.layers.splice(number, 1)[0]); target = to; chosen = []; }; };
  return el("li", { "aria-current": String(target === number) }, [
    el("div", { class: "row" }, [
      el("button", { type: "button", "aria-pressed": String(target === number), onclick: function () { open(number); } }, [layer.input]),
      act("back:", "↑", move(number - 1), number === 0),
      act("front:", "↓", move(number + 1), number === project.layers.length - 1),
      act("copy", "copy", function () { project.layers.splice(number + 1, 0, copyOf(layer)); target = number + 1; chosen = []; }),
      act("remove", "×", function () { project.layers.splice(number, 1); target = "whole"; chosen = []; }, project.layers.length === 1)
    ]),
    el("div", { class: "row" }, [
      el("label", {}, ["starts at ", numberInput(layer.start_s, update("start_s")), " s"]),
      el("label", {}, ["then ", choice(["hide", "hold", "loop", "bounce"], layer.tail, update("tail"))]),
      el("label", {}, ["fps ", numberInput(inputs[layer.input].clip.fps, function (value) { setRate(layer.input, value); }, null, { min: 0.1, max: 1000 })])
    ])
  ]);
}

// Another frame rate of an input whose file did not come with one.
function setRate(name, fps) {
  if (!(fps > 0 && fps <= 1000)) return;
  inputs[name].clip = Object.assign({}, inputs[name].clip, { fps: fps });
  heldLayers.clear();
  change("", function () {});
  refresh();
}

function showLayers() {
  node("layers").replaceChildren.apply(node("layers"), project.layers.map(layerItem));
  const options = Object.keys(data.combine).map(function (name) {
    return optionField(name, data.combine[name], project.combine[name], function (value) {
      if (value === null) return;
      change("combine " + name, function () { project.combine[name] = value; });
      refresh();
    }, here);
  });
  node("whole").replaceChildren(el("div", { "aria-current": String(target === "whole") }, [
    el("button", { type: "button", "aria-pressed": String(target === "whole"), onclick: function () { open("whole"); } }, ["whole picture"]),
    el("details", {}, [el("summary", {}, ["How layers are combined"])].concat(options))
  ]));
}

function editItem(edit, number) {
  const edits = targetEdits(), properties = data.operations[edit.name].properties;
  const act = function (label, text, work, disabled) {
    return el("button", { type: "button", "aria-label": label + " edit " + (number + 1), disabled: disabled, onclick: function () { change("", work); show(); } }, [text]);
  };
  const move = function (to) { return function () { edits.splice(to, 0, edits.splice(number, 1)[0]); }; };
  const fields = Object.keys(properties).map(function (name) {
    const value = edit.options[name] === undefined ? (properties[name].default === undefined ? null : properties[name].default) : edit.options[name];
    return optionField(name, properties[name], value, function (next, again) {
      change("edit " + number + name, function () {
        const plain = JSON.stringify(next) === JSON.stringify(properties[name].default === undefined ? null : properties[name].default);
        if (plain) delete edit.options[name]; else edit.options[name] = next;
      });
      if (again) show(); else refresh();
    }, here);
  });
  return el("li", {}, [
    el("div", { class: "row" }, [
      el("b", {}, [edit.name.replace(/_/g, " ")]),
      act("earlier:", "↑", move(number - 1), number === 0), act("later:", "↓", move(number + 1), number === edits.length - 1),
      act("remove", "×", function () { edits.splice(number, 1); })
    ])
  ].concat(fields));
}

function showEdits() {
  node("edits-title").textContent = target === "whole" ? "Edits of the whole picture" : "Edits of layer " + (target + 1);
  const edits = project.layers.length ? targetEdits() : [];
  node("edits").replaceChildren.apply(node("edits"), edits.map(editItem));
  showFault();
}

function showAbout() { node("operation-about").textContent = data.operations[node("operation").value].about; }

// Moves.
function go(to) {
  const now = result();
  if (!now) return;
  frame = Math.max(0, Math.min(to, now.clip.n_frames - 1));
  showFrame();
}

function play() {
  const now = result();
  if (!now) return;
  if (timer !== null) { cancelAnimationFrame(timer); timer = null; showFrame(); }
  else {
    const start = performance.now() - frame / now.clip.fps * 1000;
    const tick = function (time) {
      const at = Math.floor(Math.max(0, time - start) / 1000 * result().clip.fps) % result().clip.n_frames;
      timer = requestAnimationFrame(tick);
      if (at !== frame) go(at);
    };
    timer = requestAnimationFrame(tick);
  }
  node("play").setAttribute("aria-pressed", String(timer !== null));
}

function nudge(dx, dy, what) {
  if (!result()) return;
  try { moveChosen(dx, dy, null, what || ""); } catch (error) { say(error.message, true); return; }
  show();
}

node("picture").addEventListener("pointerdown", function (event) {
  const now = result();
  if (event.button || !now) return;
  if (timer !== null) play();
  const place = painter.place(event), k = objectAt(now.clip, frame, place);
  if (k >= 0) {
    if (target !== "whole" && layerOf(k) !== target) { target = layerOf(k); chosen = []; }
    const n = inTarget(k);
    if (event.shiftKey) choose(n);
    else if (!chosen.includes(n)) chosen = [n];
  } else if (!event.shiftKey) chosen = [];
  show();
  if (k < 0 || event.shiftKey) return;
  const t = targetFrame(), edit = pathEdit();
  drag = { place: place, start: t === HIDDEN ? [0, 0] : offsetNow(edit, t), moved: false, what: "drag " + Date.now() };
  node("picture").setPointerCapture(event.pointerId);
});

node("picture").addEventListener("pointermove", function (event) {
  if (!drag) return;
  const place = painter.place(event), clip = result().clip;
  const dx = (place[0] - drag.place[0]) / clip.width, dy = (place[1] - drag.place[1]) / clip.height;
  if (!drag.moved && Math.hypot(dx * clip.width, dy * clip.height) < 2) return;
  drag.moved = true;
  try { moveChosen(dx, dy, drag.start, drag.what); } catch (error) { say(error.message, true); drag = null; return; }
  showFrame();
});

["pointerup", "pointercancel"].forEach(function (name) {
  node("picture").addEventListener(name, function () {
    if (!drag) return;
    const moved = drag.moved;
    drag = null;
    if (moved) show(); else showFrame();
  });
});

const PLAIN_KEYS = {
  " ": play, e: function () { node("operation").focus(); }, k: function () { nudge(0, 0); },
  z: function () { if (stepHistory(past, future)) { chosen = []; show(); } },
  y: function () { if (stepHistory(future, past)) { chosen = []; show(); } },
  ArrowLeft: function () { go(frame - 1); }, ArrowRight: function () { go(frame + 1); },
  Home: function () { go(0); }, End: function () { go(Infinity); }
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

document.addEventListener("keydown", function (event) {
  const tag = event.target.tagName, onPicture = event.target === node("picture");
  if (event.altKey || event.metaKey || event.ctrlKey || !result()) return;
  if (tag === "INPUT" || tag === "SELECT" || tag === "TEXTAREA" || (tag === "BUTTON" && event.key === " ") || tag === "SUMMARY" || tag === "VIDEO") return;
  if (onPicture && ARROWS[event.key]) {
    const step = event.shiftKey ? 0.05 : 0.01, way = ARROWS[event.key];
    nudge(way[0] * step, way[1] * step, "nudge " + frame);
  } else if (/^[0-9]$/.test(event.key)) choose(Number(event.key));
  else if (PLAIN_KEYS[event.key]) PLAIN_KEYS[event.key]();
  else return;
  event.preventDefault();
});

node("slider").oninput = function () { go(Number(node("slider").value)); };
node("play").onclick = play;
node("undo").onclick = PLAIN_KEYS.z;
node("redo").onclick = PLAIN_KEYS.y;
node("operation").onchange = showAbout;
node("add").onclick = function () {
  if (!result()) return;
  addEdit(node("operation").value);
  show();
  say(node("operation").value.replace(/_/g, " ") + " added.");
  showFault();
};
