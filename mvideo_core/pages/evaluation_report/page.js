var data = JSON.parse(document.getElementById("data").textContent);
var COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7b5bd6", "#8a8a8a"];
var SVG = "http://www.w3.org/2000/svg";
var SORTS = { listed: "as listed", worst: "worst first", best: "best first", gap: "largest difference" };
var metrics = {};
data.metrics.forEach(function (one) { metrics[one.name] = one; });
var state = { q: "", metric: data.main_metric || "", sort: "worst", a: "", b: "", overlay: "1", row: "" };
var list = document.getElementById("list");

function drawn(tag, attributes) {
  var made = document.createElementNS(SVG, tag);
  Object.keys(attributes).forEach(function (name) { made.setAttribute(name, attributes[name]); });
  return made;
}

function color(system) { return COLORS[system % COLORS.length]; }

function printed(value) {
  if (value === undefined || value === null) return "-";
  if (value === 0) return "0";
  return Math.abs(value) < 1.5 ? value.toFixed(4) : value.toFixed(1);
}

// Order, filter, link.
function valuesOf(row) {
  return (row.cells || []).map(function (cell) { return cell && cell.values ? cell.values[state.metric] : undefined; });
}

function gapOf(row) {
  var values = valuesOf(row), first = values[state.a], second = values[state.b];
  return first === undefined || second === undefined || state.a === state.b ? undefined : second - first;
}

function keyOf(row) {
  if (state.sort === "listed") return 0;
  if (state.sort === "gap") {
    var gap = gapOf(row);
    return gap === undefined ? Infinity : -Math.abs(gap);
  }
  var values = valuesOf(row);
  if (state.a !== "" && state.sort !== "gap") values = [values[state.a]];
  values = values.filter(function (value) { return value !== undefined; });
  if (!values.length) return Infinity;
  return state.sort === "best" ? -Math.max.apply(null, values) : Math.min.apply(null, values);
}

function fits(row) {
  var text = [row.id, row.test_set || "", row.prompt || ""].join(" ").toLowerCase();
  return state.q.toLowerCase().split(/\s+/).every(function (word) { return text.indexOf(word) >= 0; });
}

function remember() {
  var kept = new URLSearchParams();
  Object.keys(state).forEach(function (name) { if (state[name] !== "" && state[name] !== initial[name]) kept.set(name, state[name]); });
  var hash = kept.toString();
  try { history.replaceState(null, "", "#" + hash); } catch (error) { location.hash = hash; }
}

function recall() {
  new URLSearchParams(location.hash.slice(1)).forEach(function (value, name) { if (name in state) state[name] = value; });
  if (!metrics[state.metric]) state.metric = initial.metric;
  if (!SORTS[state.sort]) state.sort = initial.sort;
  ["a", "b"].forEach(function (name) { if (!data.systems[state[name]]) state[name] = ""; });
}

function mark() {
  rows.forEach(function (row) { row.node.classList.toggle("chosen", row.data.key === state.row); });
}

function arrange() {
  var two = state.sort === "gap";
  if (two) {
    if (state.a === "") state.a = "0";
    if (state.b === "" || state.b === state.a) state.b = state.a === "0" ? "1" : "0";
  }
  node("find").value = state.q;
  ["metric", "sort", "a", "b"].forEach(function (name) { node(name).value = state[name]; });
  node("a").parentNode.hidden = state.sort === "listed" || data.systems.length < 2;
  node("b").parentNode.hidden = !two;
  node("overlay").setAttribute("aria-pressed", String(state.overlay === "1"));
  var keys = new Map(rows.map(function (row) { return [row, keyOf(row.data)]; }));
  var order = rows.slice().sort(function (one, other) {
    return keys.get(one) === keys.get(other) ? one.place - other.place : keys.get(one) - keys.get(other);
  });
  var count = 0;
  order.forEach(function (row) {
    var shown = fits(row.data);
    row.node.hidden = !shown;
    if (!shown) row.pause();
    count += shown;
    list.append(row.node);
    row.measure();
  });
  node("shown").textContent = count + (count === 1 ? " row" : " rows") +
    (count < data.n_rows ? " of " + data.n_rows : "");
  mark();
}

function choose(name, value) {
  state[name] = value;
  if (name === "sort" && value !== "gap") state.a = state.b = "";
  if (name === "a" && state.b === value) state.b = "";
  arrange();
  remember();
}

function fill(select, options) {
  options.forEach(function (one) { select.append(el("option", { value: one[0] }, [one[1]])); });
}

var initial = Object.assign({}, state);
var rows = (data.rows || []).map(function (row, place) { return new Row(row, place); });
fill(node("metric"), data.metrics.map(function (one) { return [one.name, one.title]; }));
fill(node("sort"), Object.keys(SORTS).filter(function (name) {
  return name !== "gap" || data.systems.length > 1;
}).map(function (name) { return [name, SORTS[name]]; }));
var named = data.systems.map(function (title, n) { return [String(n), title]; });
fill(node("a"), [["", "any system"]].concat(named));
fill(node("b"), named);
node("bar").addEventListener("submit", function (event) { event.preventDefault(); });
node("find").addEventListener("input", function () { choose("q", node("find").value.trim()); });
["metric", "sort", "a", "b"].forEach(function (name) {
  node(name).addEventListener("change", function () { choose(name, node(name).value); });
});
node("overlay").addEventListener("click", function () {
  choose("overlay", state.overlay === "1" ? "0" : "1");
  rows.forEach(function (row) { row.load(); });
});
var playAll = false;
node("playing").addEventListener("click", function () {
  playAll = !playAll;
  node("playing").setAttribute("aria-pressed", String(playAll));
  rows.forEach(function (row) {
    if (playAll && row.inView && !row.node.hidden) row.play();
    else row.pause();
  });
});

recall();
arrange();
node("bar").hidden = false;
rows.forEach(function (row) { row.load(); });
if ("IntersectionObserver" in window) {
  var found = new Map(rows.map(function (row) { return [row.node, row]; }));
  var nearby = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      var row = found.get(entry.target);
      row.near = entry.isIntersecting;
      row.load();
    });
  }, { rootMargin: "400px 0px" });
  var seen = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      var row = found.get(entry.target);
      row.inView = entry.isIntersecting;
      if (!row.inView && row.playing) row.pause();
      else if (row.inView && playAll) row.play();
    });
  }, { threshold: 0.15 });
  rows.forEach(function (row) { nearby.observe(row.node); seen.observe(row.node); });
} else {
  rows.forEach(function (row) { row.near = row.inView = true; row.load(); });
}
window.addEventListener("hashchange", function () { recall(); arrange(); });
var target = rows.filter(function (row) { return row.data.key === state.row; })[0];
if (target) target.node.scrollIntoView();
document.body.dataset.rows = String(rows.length);
