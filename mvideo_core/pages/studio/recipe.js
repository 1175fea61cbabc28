// A recipe for `mvideo masks recipe` (editing/recipe.py). JSON is YAML, apart from numbers such as 1e-7.
function yamlOf(value) {
  if (typeof value === "number") {
    const text = String(value), parts = text.split("e");
    if (parts.length === 1) return text;
    return (parts[0].includes(".") ? parts[0] : parts[0] + ".0") + "e" + (parts[1][0] === "-" ? parts[1] : "+" + parts[1].replace("+", ""));
  }
  if (Array.isArray(value)) return "[" + value.map(yamlOf).join(", ") + "]";
  if (value && typeof value === "object") {
    return "{" + Object.keys(value).map(function (name) { return nameOf(name) + ": " + yamlOf(value[name]); }).join(", ") + "}";
  }
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, function (one) { return "\\u" + one.charCodeAt(0).toString(16).padStart(4, "0"); });
}

function nameOf(text) { return /^[a-z_]+$/.test(text) && !/^(y|n|yes|no|on|off|true|false|null)$/.test(text) ? text : yamlOf(text); }

function plainEdit(edit) {
  if (!Object.keys(edit.options).length) return edit.name;
  const made = {};
  made[edit.name] = edit.options;
  return made;
}

function withoutDefaults(options, properties) {
  const made = {};
  Object.keys(options).forEach(function (name) {
    if (JSON.stringify(options[name]) !== JSON.stringify(properties[name].default)) made[name] = options[name];
  });
  return made;
}

// project: {title, prompt, inputs: {name: about}, layers: [{input, edits, start_s, tail}], combine, edits}
function recipeText(project, combineProperties) {
  const used = Object.keys(project.inputs).filter(function (name) { return project.layers.some(function (layer) { return layer.input === name; }); });
  const lines = ["title: " + yamlOf(project.title), "inputs:"];
  used.forEach(function (name) { lines.push("  " + nameOf(name) + ": " + yamlOf(project.inputs[name])); });
  lines.push("variants:", "  studio:", "    layers:");
  project.layers.forEach(function (layer) {
    lines.push("      - input: " + yamlOf(layer.input));
    if (layer.edits.length) lines.push("        edits:");
    layer.edits.forEach(function (edit) { lines.push("          - " + yamlOf(plainEdit(edit))); });
    if (layer.start_s) lines.push("        start_s: " + yamlOf(layer.start_s));
    if (layer.tail !== "hide") lines.push("        tail: " + layer.tail);
  });
  const combined = withoutDefaults(project.combine, combineProperties);
  if (Object.keys(combined).length) lines.push("    combine: " + yamlOf(combined));
  if (project.edits.length) lines.push("    edits:");
  project.edits.forEach(function (edit) { lines.push("      - " + yamlOf(plainEdit(edit))); });
  lines.push("    prompts:", "      - " + yamlOf(project.prompt), "");
  return lines.join("\n");
}
