// Elements of a page, and its status line. For pages that name "elements.js" among their scripts.
function node(id) { return document.getElementById(id); }

// An element; "on..." attributes are listeners, and an attribute that is false or null is left out.
function el(tag, attributes, children) {
  var made = document.createElement(tag);
  Object.keys(attributes || {}).forEach(function (name) {
    var value = attributes[name];
    if (name.slice(0, 2) === "on") made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
  });
  (children || []).forEach(function (child) { if (child !== null) made.append(child); });
  return made;
}

function say(text, bad) {
  node("status").textContent = text;
  node("status").className = bad ? "note bad" : "note";
}

