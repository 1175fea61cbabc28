var token = new URLSearchParams(location.search).get("token") || "";
var all = {}, before = 0, clips = [], labels = [], at = 0, frame = 0, chosen = "clip", masks = true, timer = null, drag = null;
var SVG = "http://www.w3.org/2000/svg";
var MIN_BOX_PX = 4;

function clip() { return clips[at]; }

function nextId() {
  var ids = clip().objects.map(function (one) { return one.id; });
  clip().decisions.forEach(function (one) { if (one.object !== undefined) ids.push(one.object); });
  return ids.length ? Math.max.apply(null, ids) + 1 : 0;
}

// All objects: those with masks, and those that a decision adds.
function objects() {
  var found = clip().objects.slice();
  clip().decisions.forEach(function (one) {
    if (one.label && !found.some(function (other) { return other.id === one.object; })) {
      found.push({ id: one.object, label: one.label, color: "#ffffff", kept: true, why: "", added: true });
    }
  });
  return found;
}

function words(one) {
  var what = { accept: "accept", reject: "reject", relabel: "call it " + one.label, box: "box on frame " + one.frame, point: "click on frame " + one.frame }[one.action];
  var about = one.object === undefined ? "clip" : "object " + one.object;
  return about + ": " + what + (one.action !== "relabel" && one.label ? " (new, " + one.label + ")" : "");
}

// Drawing.
function show() {
  var one = clip();
  node("name").textContent = one.key;
  node("frame").style.setProperty("--shape", one.width / one.height);
  node("slider").max = one.n_frames - 1;
  showFrame();
  showObjects();
  var list = node("decisions");
  list.replaceChildren.apply(list, one.decisions.map(function (each) { return el("li", {}, [words(each)]); }));
  if (one.stale) list.append(el("li", {}, [one.stale + (one.stale === 1 ? " decision" : " decisions") + " ignored: the masks have changed"]));
  if (!list.children.length) list.append(el("li", {}, ["none yet"]));
  Array.from(node("list").children).forEach(function (item, n) {
    item.firstChild.setAttribute("aria-current", String(n === at));
  });
}

function showFrame() {
  var one = clip();
  node("slider").value = frame;
  node("at").textContent = frame + " of " + (one.n_frames - 1);
  node("picture").src = "frame?token=" + encodeURIComponent(token) + "&key=" + encodeURIComponent(one.key) + "&n=" + frame + "&masks=" + (masks ? 1 : 0);
  node("picture").alt = "Frame " + frame + " of " + one.key;
  showMarks(null);
}

function showMarks(drawn) {
  var one = clip(), marks = node("marks");
  marks.setAttribute("viewBox", "0 0 " + one.width + " " + one.height);
  marks.replaceChildren();
  var boxes = one.decisions.filter(function (each) { return each.frame === frame || (each.frame === undefined && frame === 0); });
  boxes.forEach(function (each) {
    if (each.box_xyxy) mark(each.box_xyxy, colorOf(each.object));
    if (each.point_xy) dot(each.point_xy, colorOf(each.object));
  });
  if (drawn) mark(drawn, colorOf(chosen));
}

function colorOf(id) {
  var found = objects().filter(function (one) { return one.id === id; })[0];
  return found ? found.color : "#ffffff";
}

function mark(box, color) {
  var made = document.createElementNS(SVG, "rect");
  made.setAttribute("x", box[0]);
  made.setAttribute("y", box[1]);
  made.setAttribute("width", box[2] - box[0]);
  made.setAttribute("height", box[3] - box[1]);
  made.setAttribute("stroke", color);
  node("marks").append(made);
}

function dot(point, color) {
  var made = document.createElementNS(SVG, "circle");
  made.setAttribute("cx", point[0]);
  made.setAttribute("cy", point[1]);
  made.setAttribute("r", clip().width / 100);
  made.setAttribute("fill", color);
  node("marks").append(made);
}

function showObjects() {
  var bar = node("objects");
  bar.replaceChildren();
  choice("clip", "Whole clip", "");
  objects().forEach(function (one) {
    var about = one.added ? "new" : "score " + one.score.toFixed(2) + (one.kept ? "" : ", dropped: " + one.why.replace(/_/g, " "));
    choice(one.id, one.id + " " + one.label, about, one.color);
  });
  choice("new", "New object", "");
  var target = chosen === "clip" || chosen === "new" ? "" : objects().filter(function (one) { return one.id === chosen; })[0].label;
  if (target) node("label").value = target;
  node("relabel").disabled = chosen === "clip" || chosen === "new";
  node("hint").textContent = chosen === "clip" ? "Choose an object (keys 0 to 9, or + for a new one) to draw its box on the frame" + (clip().click ? ", or click on it." : ".")
    : "Drag a box around " + (chosen === "new" ? "the new object, of the class chosen above" : "object " + chosen) + (clip().click ? ", or click on it." : ".") + " The next run tracks it from this frame both ways.";
}

function choice(id, text, about, color) {
  var made = el("button", { "aria-pressed": String(chosen === id), "data-object": id });
  if (color) {
    var swatch = el("span", { "class": "swatch" });
    swatch.style.background = color;
    made.append(swatch);
  }
  made.append(text);
  if (about) made.append(el("small", {}, [about]));
  made.onclick = function () { choose(id); };
  node("objects").append(made);
}

function choose(id) { chosen = id; showObjects(); }

function showList() {
  var list = node("list");
  list.replaceChildren();
  clips.forEach(function (one, n) {
    var made = el("button", {}, [one.key]);
    var state = one.decisions.length ? one.decisions.map(words).join("; ") : "could fix about " + one.gain.toFixed(0) + (one.gain.toFixed(0) === "1" ? " frame, " : " frames, ") + one.objects.length + (one.objects.length === 1 ? " object" : " objects");
    made.append(el("small", {}, [state + (one.status ? "; dropped: " + one.status.replace(/_/g, " ") : "")]));
    made.onclick = function () { go(n); };
    var item = el("li");
    item.append(made);
    list.append(item);
  });
}

function showSummary() {
  var decided = all.n_decided - before + clips.filter(function (one) { return one.decisions.length; }).length;
  node("summary").textContent = all.n_clips + " clips, starting with those where a correction helps most; " + decided + " decided. Decisions: " + all.file + (all.n_clips > clips.length ? " Shown: " + clips.length + "." : "");
}

// Moving.
function go(n) {
  if (n < 0 || n >= clips.length) { say(n < 0 ? "This is the first clip." : "This is the last clip."); return; }
  stop();
  at = n; frame = clips[n].look; chosen = "clip";
  say("");
  show();
}

function step(by) { frame = Math.min(Math.max(frame + by, 0), clip().n_frames - 1); showFrame(); }

function stop() { clearInterval(timer); timer = null; node("play").setAttribute("aria-pressed", "false"); }

function play() {
  if (timer) { stop(); return; }
  node("play").setAttribute("aria-pressed", "true");
  timer = setInterval(function () {
    if (!node("picture").complete) return;
    frame = (frame + 1) % clip().n_frames;
    showFrame();
  }, 1000 / Math.max(1, clip().fps));
}

// Deciding.
function send(decision, then) {
  var n = at;
  decision.key = clip().key;
  return fetch("decide", {
    method: "POST", headers: { "Content-Type": "application/json", "X-Review-Token": token }, body: JSON.stringify(decision)
  }).then(function (answer) {
    return answer.json().then(function (found) {
      if (!answer.ok) { say(found.error, true); return; }
      clips[n] = found;
      showList();
      showSummary();
      if (at === n) show();
      say("Written" + (found.decisions.length ? ": " + words(found.decisions[found.decisions.length - 1]) : ": taken back") + ".");
      if (then) then();
    });
  }).catch(function () { say("The server does not answer; start `mvideo review` again.", true); });
}

function about(decision) {
  if (typeof chosen === "number") decision.object = chosen;
  return decision;
}

function verdict(action) { send(about({ action: action }), chosen === "clip" ? function () { go(at + 1); } : null); }

function relabel() {
  if (node("relabel").disabled) { say("Choose an object first.", true); return; }
  send({ action: "relabel", object: chosen, label: node("label").value });
}

function place(event) {
  var box = node("frame").getBoundingClientRect(), one = clip();
  var x = (event.clientX - box.left) / box.width * one.width, y = (event.clientY - box.top) / box.height * one.height;
  return [Math.round(Math.min(Math.max(x, 0), one.width) * 10) / 10, Math.round(Math.min(Math.max(y, 0), one.height) * 10) / 10];
}

function boxOf(a, b) { return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])]; }

function finish(end) {
  var start = drag, box = boxOf(start, end), added = chosen === "new" || !clip().objects.some(function (one) { return one.id === chosen; });
  drag = null;
  showMarks(null);
  if (chosen === "clip") { say("Choose an object, or a new one, before drawing.", true); return; }
  var id = chosen === "new" ? nextId() : chosen;
  var decision = { object: id, frame: frame };
  if (added) decision.label = node("label").value;
  if (box[2] - box[0] >= MIN_BOX_PX && box[3] - box[1] >= MIN_BOX_PX) {
    decision.action = "box"; decision.box_xyxy = box;
  } else if (clip().click) {
    decision.action = "point"; decision.point_xy = [Math.min(end[0], clip().width - 1), Math.min(end[1], clip().height - 1)];
  } else { say("Drag a larger box; a click works only with the segmenter sam2.", true); return; }
  send(decision, function () { choose(id); });
}

node("frame").addEventListener("pointerdown", function (event) {
  if (event.button) return;
  event.preventDefault();
  stop();
  drag = place(event);
  node("frame").setPointerCapture(event.pointerId);
});
node("frame").addEventListener("pointermove", function (event) { if (drag) showMarks(boxOf(drag, place(event))); });
node("frame").addEventListener("pointerup", function (event) { if (drag) finish(place(event)); });
node("frame").addEventListener("pointercancel", function () { drag = null; showMarks(null); });

var KEYS = {
  a: function () { verdict("accept"); }, r: function () { verdict("reject"); }, u: function () { send({ action: "undo" }); },
  n: function () { go(at + 1); }, p: function () { go(at - 1); }, l: function () { node("label").focus(); },
  m: toggle, "+": function () { choose("new"); }, c: function () { choose("clip"); },
  ArrowLeft: function () { step(-1); }, ArrowRight: function () { step(1); }, " ": play,
  Escape: function () { drag = null; showMarks(null); }
};

function toggle() { masks = !masks; node("masks").setAttribute("aria-pressed", String(masks)); showFrame(); }

document.addEventListener("keydown", function (event) {
  var target = event.target.tagName;
  if (event.ctrlKey || event.altKey || event.metaKey || !clips.length) return;
  if (target === "SELECT" && event.key === "Enter") { relabel(); event.preventDefault(); return; }
  if (target === "SELECT" || (target === "INPUT" && event.key.indexOf("Arrow") === 0) || (target === "BUTTON" && event.key === " ")) return;
  if (/^[0-9]$/.test(event.key)) {
    if (objects().some(function (one) { return one.id === Number(event.key); })) choose(Number(event.key));
    return;
  }
  if (KEYS[event.key]) { KEYS[event.key](); event.preventDefault(); }
});

node("accept").onclick = KEYS.a;
node("reject").onclick = KEYS.r;
node("undo").onclick = KEYS.u;
node("next").onclick = KEYS.n;
node("back").onclick = KEYS.p;
node("play").onclick = play;
node("masks").onclick = toggle;
node("relabel").onclick = relabel;
node("slider").oninput = function () { stop(); frame = Number(node("slider").value); showFrame(); };

fetch("clips?token=" + encodeURIComponent(token)).then(function (answer) { return answer.json(); }).then(function (found) {
  all = found;
  if (all.error) { say(all.error, true); node("summary").textContent = ""; return; }
  clips = all.clips; labels = all.labels;
  before = clips.filter(function (one) { return one.decisions.length; }).length;
  labels.forEach(function (name) { node("label").append(el("option", { value: name }, [name])); });
  showSummary();
  showList();
  go(0);
}).catch(function () { say("The server does not answer; start `mvideo review` again.", true); });
