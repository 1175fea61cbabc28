// Form fields for options, from their JSON schema. `change(value)` is called with each new value.
function choice(options, value, change, label) {
  return el("select", { "aria-label": label || null, onchange: function (event) { change(event.target.value); } }, options.map(function (one) {
    return el("option", { value: one, selected: one === value }, [one.replace(/_/g, " ")]);
  }));
}

function numberInput(value, change, label, attributes) {
  return el("input", Object.assign({
    type: "number", step: "any", value: value === null || value === undefined ? "" : value, "aria-label": label || null,
    onchange: function (event) { change(event.target.value === "" ? null : Number(event.target.value)); }
  }, attributes || {}));
}

// A time of a keyframe: seconds, or a percentage as text.
function timeInput(value, change, label) {
  return el("input", { value: value === null ? "" : String(value), class: "short", "aria-label": label, onchange: function (event) {
    const text = event.target.value.trim(), wrong = text !== "" && !PERCENT.test(text) && !Number.isFinite(Number(text));
    event.target.setAttribute("aria-invalid", String(wrong));
    if (!wrong) change(text === "" ? null : PERCENT.test(text) ? text : Number(text));
  } });
}

function listInput(value, whole, change, label) {
  return el("input", { value: value === null ? "" : value.join(", "), class: "short", placeholder: "all", "aria-label": label, onchange: function (event) {
    const parts = event.target.value.split(",").map(function (part) { return part.trim(); }).filter(Boolean);
    const numbers = parts.map(Number), wrong = whole !== "text" && !numbers.every(Number.isFinite);
    event.target.setAttribute("aria-invalid", String(wrong));
    if (!wrong) change(parts.length ? (whole === "text" ? parts : numbers) : null);
  } });
}

// Rows of keys [time, value, ...]; `here()` gives the time of the current frame.
function keyRows(keys, names, change, here, label) {
  const replaced = function (row, column, value) {
    return keys.map(function (key, i) { return i === row ? key.map(function (old, k) { return k === column ? value : old; }) : key; });
  };
  const rows = keys.map(function (key, row) {
    return el("div", { class: "row", role: "group", "aria-label": label + ", keyframe " + (row + 1) }, [
      timeInput(key[0], function (value) { if (value !== null) change(replaced(row, 0, value)); }, "time, seconds or percent"), "→"
    ].concat(key.slice(1).map(function (value, k) {
      return numberInput(value, function (next) { if (next !== null) change(replaced(row, k + 1, next)); }, names[k]);
    }), [el("button", { type: "button", "aria-label": "remove keyframe " + (row + 1) + " of " + label, disabled: keys.length === 1, onclick: function () {
      change(keys.filter(function (_, i) { return i !== row; }), true);
    } }, ["×"])]));
  });
  rows.push(el("button", { type: "button", "aria-label": "+ keyframe here: " + label + " at this frame", onclick: function () {
    change(withKey(keys, here(), keys[keys.length - 1].slice(1)), true);
  } }, ["+ keyframe here"]));
  return el("div", { class: "keys" }, rows);
}

// The keys with one at this time; "100%" stays last.
function withKey(keys, time, values) {
  const made = keys.filter(function (key) { return typeof key[0] !== "number" || Math.abs(key[0] - time) > 1e-6; });
  const place = made.findIndex(function (key) { return typeof key[0] === "number" ? key[0] > time : key[0].trim() === "100%"; });
  made.splice(place < 0 ? made.length : place, 0, [time].concat(values));
  return made;
}

function formOf(about) {
  const forms = about.anyOf || [about], types = forms.map(function (form) { return form.type; });
  if (about.enum) return "choice";
  if (types.includes("boolean")) return "switch";
  const list = forms.find(function (form) { return form.type === "array"; });
  if (list && list.prefixItems) return "list";
  if (list && list.items.prefixItems) return types.includes("number") ? "keyed" : "keys";
  if (list) return list.items.type === "string" ? "texts" : "list";
  return types.includes("string") ? "time" : "number";
}

const UNITS = [["_frac_per_s", " (fraction per second)"], ["_frac", " (fraction)"], ["_deg", " (degrees)"], ["_px", " (pixels)"], ["_s", " (seconds)"]];

// A name of an option as words: "angle_deg" -> "angle (degrees)".
function labelOf(name) {
  const unit = UNITS.find(function (one) { return name.endsWith(one[0]); });
  return (unit ? name.slice(0, -unit[0].length) + unit[1] : name).replace(/_/g, " ");
}

// One option: label, input, help. `change(value, again)`; `again` = the form must be built again.
function optionField(name, about, value, change, here) {
  const form = formOf(about), label = labelOf(name), help = el("span", { class: "note" }, [about.description || ""]);
  if (form === "keyed" || form === "keys") {
    const keys = Array.isArray(value), width = form === "keys" ? (about.items || about.anyOf[0].items).prefixItems.length - 1 : 1;
    const parts = [el("legend", {}, [label])];
    if (!keys && form === "keyed") parts.push(numberInput(value, change, label));
    parts.push(el("button", { type: "button", onclick: function () {
      if (!keys) change([[here(), form === "keyed" ? value : 1]], true);
      else change(form === "keyed" ? value[0][1] : about.default === undefined ? null : about.default, true);
    } }, [keys ? (form === "keyed" ? "one value" : "reset") : "keyframes"]));
    if (keys) parts.push(keyRows(value, width === 2 ? ["x", "y"] : ["value"], change, here, label));
    return el("fieldset", { class: "field" }, parts.concat([help]));
  }
  let input;
  if (form === "choice") input = choice(about.enum, value, change);
  else if (form === "switch") input = el("input", { type: "checkbox", checked: value, onchange: function (event) { change(event.target.checked); } });
  else if (form === "list" || form === "texts") input = listInput(value, form === "texts" ? "text" : "number", change, null);
  else if (form === "time") input = timeInput(value, change, null);
  else input = numberInput(value, change, null);
  return el("div", { class: "field" }, [el("label", {}, [label + " ", input]), help]);
}
