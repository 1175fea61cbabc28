// Runs and pixels: edges are row-major positions start, end, start, end ... of one mask.
function fillRuns(pixels, edges, value) {
  for (let i = 0; i < edges.length; i += 2) pixels.fill(value, edges[i], edges[i + 1]);
}

function pixelsOf(edges, height, width) {
  const pixels = new Uint8Array(height * width);
  fillRuns(pixels, edges, 1);
  return pixels;
}

// Edges of pixels (rows x columns) whose first one is at (top, left) of a frame `width` wide.
function edgesOf(pixels, rows, columns, top, left, width) {
  const found = [];
  for (let y = 0; y < rows; y++) {
    const start = y * columns, shift = (y + top) * width + left - start;
    let before = 0;
    for (let i = start; i < start + columns; i++) {
      if (pixels[i] !== before) { found.push(i + shift); before = pixels[i]; }
    }
    if (before) found.push(start + columns + shift);
  }
  return Int32Array.from(found);
}

// Box [x0, y0, x1, y1), half-open.
function boxOf(edges, width) {
  let x0 = width, x1 = 0;
  if (!edges.length) return [0, 0, 0, 0];
  for (let i = 0; i < edges.length; i += 2) {
    const x = edges[i] % width;
    x0 = Math.min(x0, x);
    x1 = Math.max(x1, x + edges[i + 1] - edges[i]);
  }
  return [x0, Math.floor(edges[0] / width), x1, Math.floor(edges[edges.length - 2] / width) + 1];
}

function area(edges) {
  let sum = 0;
  for (let i = 0; i < edges.length; i += 2) sum += edges[i + 1] - edges[i];
  return sum;
}

// A clip like `clip` with other values; its masks are computed when they are first wanted, and held.
function derivedClip(clip, changes, compute) {
  const made = Object.assign({}, clip, changes), held = new Map();
  delete made.motion;
  made.edges = function (t, n) {
    const key = t * made.n_objects + n;
    if (!held.has(key)) held.set(key, compute(t, n));
    return held.get(key);
  };
  return made;
}

// Python's round(): halves go to the even neighbor.
function roundEven(value) {
  const low = Math.floor(value), rest = value - low;
  if (rest !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}
