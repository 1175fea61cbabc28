// One row: its videos share one clock, in seconds. Uses data, state, metrics and the element helpers of page.js.
function Row(row, place) {
  var self = this;
  this.data = row;
  this.place = place;
  this.players = [];
  this.playing = false;
  this.near = false;
  this.t = row.start_s || 0;
  this.duration = 0;
  this.fps = 1;
  this.node = el("article", { class: "row", "data-key": row.key });
  var link = el("a", { href: "#", title: "Link to this row", "aria-label": "Link to " + row.id }, ["#"]);
  link.addEventListener("click", function (event) {
    event.preventDefault();
    state.row = row.key;
    remember();
    mark();
  });
  this.gap = el("span", { class: "gap" });
  this.output = el("output");
  var name = el("h2", {}, [row.id]);
  var studio = row.studio ? el("a", { href: row.studio, target: "_blank", "aria-label": "Edit the masks of " + row.id }, ["Edit the masks"]) : "";
  this.node.append(el("div", { class: "top" }, [link, name, studio, el("span", { class: "note" }, [row.test_set || ""]), this.gap, this.output]));
  if (row.prompt) this.node.append(el("p", { class: "prompt" }, [row.prompt]));
  var columns = el("div", { class: "columns", tabindex: "0", role: "group", "aria-label": "Videos of " + row.id });
  if (row.source) columns.append(this.column("source", null, row.source, { curves: row.source_curves || {} }));
  if (row.mask) columns.append(this.column("mask", null, row.mask, null));
  (row.cells || []).forEach(function (cell, system) {
    columns.append(self.column(data.systems[system], system, cell && cell.clip, cell));
  });
  this.node.append(columns);
  this.timeline();
}

Row.prototype.column = function (title, system, clip, cell) {
  var head = el("figcaption", {}, [el("b", {}, [title])]);
  if (system !== null) {
    var key = el("i");
    key.style.background = color(system);
    head.prepend(key);
    if (cell && cell.seed !== undefined && cell.seed !== null) head.append("seed " + cell.seed);
  }
  var figure = el("figure", {}, [head]);
  var value = el("div", { class: "value" });
  var player = { clip: clip, cell: cell, system: system, value: value, video: null };
  if (clip) {
    var video = el("video", { loop: "", playsinline: "", preload: "none", "aria-label": title + ", " + this.data.id });
    video.muted = true;
    video.style.aspectRatio = clip.width + " / " + clip.height;
    player.video = video;
    this.duration = Math.max(this.duration, clip.n_frames / clip.fps);
    this.fps = Math.max(this.fps, clip.fps);
    video.addEventListener("loadedmetadata", this.placed.bind(this, player, 3));
    video.addEventListener("click", this.toggle.bind(this));
    figure.append(video);
  } else {
    figure.append(el("div", { class: "none" }, [cell ? cell.note || "no video" : "no item for this system"]));
  }
  figure.append(value);
  this.players.push(player);
  return figure;
};

Row.prototype.timeline = function () {
  var self = this;
  this.button = el("button", { type: "button" }, ["play"]);
  this.button.addEventListener("click", this.toggle.bind(this));
  this.range = el("input", {
    type: "range", min: "0", max: String(this.duration), step: String(0.5 / this.fps),
    "aria-label": "Time of " + this.data.id
  });
  this.range.addEventListener("input", function () {
    var t = Number(self.range.value);  // pausing sets the slider to where the videos are
    self.pause();
    self.seek(t);
  });
  this.ends = el("div", { class: "ends" });
  this.curve = el("div", { class: "curve" });
  this.node.append(el("div", { class: "time" }, [this.button, this.range, this.ends, this.curve]));
};

// The file a column shows; switching keeps the time.
Row.prototype.load = function () {
  var self = this;
  this.players.forEach(function (player) {
    if (!player.video) return;
    var over = state.overlay === "1" && player.clip.overlay;
    player.video.poster = (over ? player.clip.poster_overlay : player.clip.poster) || "";
    var wanted = self.near ? (over ? player.clip.overlay : player.clip.video) : "";
    if ((player.video.getAttribute("src") || "") === wanted) return;
    if (wanted) {
      player.video.preload = "auto";
      player.video.setAttribute("src", wanted);
    } else {
      player.video.preload = "none";
      player.video.removeAttribute("src");
    }
    player.video.load();
  });
  if (this.playing) this.play();
};

Row.prototype.within = function (player, t) {
  var last = (player.clip.n_frames - 0.5) / player.clip.fps;
  return Math.max(0, Math.min(t, last));
};

// A browser may paint the first frame although the seek is done: check what was painted, and seek again.
Row.prototype.placed = function (player, tries) {
  var self = this, video = player.video;
  video.currentTime = this.within(player, this.t);
  if (this.playing) video.play().catch(function () {});
  else if (video.requestVideoFrameCallback && tries > 0) {
    video.requestVideoFrameCallback(function (now, frame) {
      var off = Math.abs(frame.mediaTime - video.currentTime) * player.clip.fps;
      if (video.paused && off > 1.5) self.placed(player, tries - 1);
    });
  }
};

Row.prototype.seek = function (t) {
  var self = this;
  this.t = Math.max(0, Math.min(t, this.duration));
  this.players.forEach(function (player) {
    if (player.video && player.video.readyState > 0) player.video.currentTime = self.within(player, self.t);
  });
  this.tell();
};

Row.prototype.leader = function () {
  return this.players.filter(function (one) { return one.video; }).reduce(function (best, one) {
    return !best || one.clip.n_frames / one.clip.fps > best.clip.n_frames / best.clip.fps + 1e-6 ? one : best;
  }, null);
};

Row.prototype.toggle = function () {
  if (this.playing) this.pause();
  else this.play();
};

Row.prototype.play = function () {
  var self = this, leader = this.leader();
  if (!leader) return;
  this.playing = true;
  this.button.textContent = "pause";
  this.players.forEach(function (player) {
    if (!player.video) return;
    player.video.loop = player === leader;
    if (player.video.getAttribute("src")) player.video.play().catch(function () {});
  });
  cancelAnimationFrame(this.tick);
  this.tick = requestAnimationFrame(function follow() {
    if (!self.playing) return;
    if (leader.video.readyState > 1) self.t = leader.video.currentTime;
    self.players.forEach(function (player) {
      if (!player.video || player === leader || player.video.readyState < 2) return;
      var t = self.within(player, self.t);
      var ended = self.t >= player.clip.n_frames / player.clip.fps;
      if (ended && !player.video.paused) player.video.pause();
      if (!ended && player.video.paused) player.video.play().catch(function () {});
      if (Math.abs(player.video.currentTime - t) > 0.12) player.video.currentTime = t;
    });
    self.tell();
    self.tick = requestAnimationFrame(follow);
  });
};

Row.prototype.pause = function () {
  this.playing = false;
  this.button.textContent = "play";
  this.players.forEach(function (player) { if (player.video) player.video.pause(); });
  if (this.range) this.seek(this.t);
};

function valueAt(curve, t) {
  if (!curve) return undefined;
  var k = Math.floor(t / curve.step_s + 1e-6);
  return k < curve.values.length ? curve.values[k] : undefined;
}

Row.prototype.tell = function () {
  var self = this, fps = this.fps;
  this.range.value = String(this.t);
  this.output.textContent = this.t.toFixed(2) + " of " + this.duration.toFixed(2) + " s, frame " +
    Math.min(Math.floor(this.t * fps + 1e-6), Math.round(this.duration * fps) - 1);
  this.players.forEach(function (player) {
    if (player.now) {
      var value = valueAt(player.curve, self.t);
      player.now.textContent = player.curve ? " now " + (value === null ? "no value" : printed(value)) : "";
    }
  });
  if (this.cursor) {
    var x = this.duration ? 1000 * this.t / this.duration : 0;
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
  }
};

// ---- numbers and curve of the chosen metric ----
Row.prototype.measure = function () {
  var self = this;
  this.players.forEach(function (player) {
    player.value.textContent = "";
    player.now = player.curve = null;
    if (!player.cell) return;
    var isSource = player.system === null;
    player.curve = (player.cell.curves || {})[isSource ? sourceMetric() : state.metric];
    if (isSource) {
      if (player.curve) player.value.append(el("b", {}, [printed(mean(player.curve.values))]), " ceiling");
    } else if ((player.cell.values || {})[state.metric] !== undefined) {
      player.value.append(el("b", {}, [printed(player.cell.values[state.metric])]));
    } else if (player.clip) {
      player.value.append(el("span", { class: "bad" }, [(player.cell.notes || {})[state.metric] || "no value"]));
    }
    player.now = el("span", { class: "now" });
    player.value.append(player.now);
  });
  var difference = gapOf(this.data);
  this.gap.textContent = data.systems.length > 1 && difference !== undefined ?
    data.systems[state.b] + " minus " + data.systems[state.a] + ": " + (difference > 0 ? "+" : "") + printed(difference) : "";
  this.draw();
  this.tell();
};

function sourceMetric() {
  var found = data.metrics.filter(function (one) { return one.on_source; })[0];
  return found && metrics[state.metric] && metrics[state.metric].metric === found.metric ? found.name : "";
}

function mean(values) {
  var kept = values.filter(function (value) { return value !== null; });
  return kept.length ? kept.reduce(function (sum, value) { return sum + value; }, 0) / kept.length : undefined;
}

Row.prototype.draw = function () {
  var self = this, about = metrics[state.metric];
  this.curve.textContent = this.ends.textContent = "";
  this.cursor = null;
  var measured = this.players.filter(function (player) { return player.curve; });
  if (!about || !measured.length || !this.duration) return;
  var low = about.low, span = about.high - about.low || 1;
  var svg = drawn("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img",
    "aria-label": about.title + " per frame of " + this.data.id });
  var y = function (value) { return (96 - 92 * (value - low) / span).toFixed(2); };
  [0.25, 0.5, 0.75].forEach(function (share) {
    svg.append(drawn("line", { class: "grid", x1: 0, x2: 1000, y1: y(low + share * span), y2: y(low + share * span) }));
  });
  measured.forEach(function (player) {
    var path = "", open = false, source = player.system === null;
    player.curve.values.forEach(function (value, k) {
      if (value === null) { open = false; return; }
      var left = 1000 * k * player.curve.step_s / self.duration;
      var right = 1000 * (k + 1) * player.curve.step_s / self.duration;
      path += (open ? "L" : "M") + left.toFixed(2) + " " + y(value) + "L" + right.toFixed(2) + " " + y(value);
      open = true;
    });
    var line = drawn("path", { class: "line", d: path });
    line.style.stroke = source ? "var(--soft)" : color(player.system);
    svg.append(line);
  });
  this.cursor = drawn("line", { class: "cursor", y1: 0, y2: 100, x1: 0, x2: 0 });
  svg.append(this.cursor);
  svg.addEventListener("click", function (event) {
    var box = svg.getBoundingClientRect();
    var k = Math.floor((event.clientX - box.left) / box.width * self.duration * self.fps);
    self.pause();
    self.seek((k + 0.5) / self.fps);
  });
  this.ends.append(el("span", {}, [printed(about.high)]), el("span", {}, [printed(low)]));
  this.curve.append(svg);
};

