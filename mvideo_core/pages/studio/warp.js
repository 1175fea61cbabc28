// One mask transformed by an affine map, with the same pixels as editing/warp.py: bilinear coverage in single precision.
const fround = Math.fround, MAX_SUPERSAMPLING = 8, CUT_FRAC = 0.02, HALF = fround(0.5 - 1e-4);
const LANES = 16;  // OpenCV with AVX2: columns after the last full group of so many are rounded in another order

function warpEdges(edges, map, height, width) {
  if (!edges.length || isUnchanged(map)) return edges;
  const box = boxOf(edges, width);
  const corners = [[box[0], box[1]], [box[2], box[1]], [box[0], box[3]], [box[2], box[3]]].map(function (p) { return mapPoint(map, p[0], p[1]); });
  const bound = function (value, size) { return Math.min(Math.max(value, 0), size); };
  const x = corners.map(function (p) { return p[0]; }), y = corners.map(function (p) { return p[1]; });
  const low = [bound(Math.floor(Math.min.apply(null, x)) - 1, width), bound(Math.floor(Math.min.apply(null, y)) - 1, height)];
  const high = [bound(Math.ceil(Math.max.apply(null, x)) + 1, width), bound(Math.ceil(Math.max.apply(null, y)) + 1, height)];
  const columns = high[0] - low[0], rows = high[1] - low[1];
  if (columns <= 0 || rows <= 0) return NO_EDGES;
  const source = paddedPart(edges, box, width);
  return edgesOf(drawCoverage(source, box, map, low, columns, rows), rows, columns, low[1], low[0], width);
}

// The pixels inside the box, with a border of one empty pixel.
function paddedPart(edges, box, width) {
  const columns = box[2] - box[0] + 2, rows = box[3] - box[1] + 2, pixels = new Uint8Array(columns * rows);
  for (let i = 0; i < edges.length; i += 2) {
    const row = Math.floor(edges[i] / width), start = (row - box[1] + 1) * columns + edges[i] - row * width - box[0] + 1;
    pixels.fill(1, start, start + edges[i + 1] - edges[i]);
  }
  return { pixels: pixels, columns: columns, rows: rows };
}

function inverted(m) {
  let d = m[0] * m[4] - m[1] * m[3];
  d = d !== 0 ? 1 / d : 0;
  const a = m[4] * d, e = m[0] * d, b = m[1] * -d, c = m[3] * -d;
  return [a, b, -a * m[2] - b * m[5], c, e, -c * m[2] - e * m[5]].map(fround);
}

// 1 for every pixel of the result that is covered by at least half.
function drawCoverage(source, box, map, low, columns, rows) {
  const scale = Math.sqrt(Math.abs(map[0] * map[4] - map[1] * map[3]));
  const fine = Math.min(MAX_SUPERSAMPLING, Math.max(1, Math.ceil(1 / Math.max(scale, 1e-6) - 1e-9)));
  const a = map[0] * fine, b = map[1] * fine, c = map[3] * fine, d = map[4] * fine;
  const x = a * (box[0] + 0.5) + b * (box[1] + 0.5) + (map[2] - low[0]) * fine - 0.5 - (a + b);
  const y = c * (box[0] + 0.5) + d * (box[1] + 0.5) + (map[5] - low[1]) * fine - 0.5 - (c + d);
  const back = inverted([a, b, x, c, d, y]);
  const straight = columnsOf(back, columns * fine);
  const out = new Uint8Array(columns * rows), line = new Float32Array(columns * fine), sums = new Float32Array(columns);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    for (let k = 0; k < fine; k++) {
      drawLine(source, back, row * fine + k, line, straight);
      for (let i = 0; i < columns; i++) sums[i] += sumOf(line, i * fine, fine);
    }
    for (let i = 0; i < columns; i++) out[row * columns + i] = fround(sums[i] / (fine * fine)) >= HALF ? 1 : 0;
  }
  return out;
}

// A sum in single precision, eight values in NumPy's order.
function sumOf(line, start, n) {
  if (n === 1) return line[start];
  if (n === 8) {
    const pair = function (i) { return fround(line[start + i] + line[start + i + 1]); };
    return fround(fround(pair(0) + pair(2)) + fround(pair(4) + pair(6)));
  }
  let sum = line[start];
  for (let i = 1; i < n; i++) sum = fround(sum + line[start + i]);
  return sum;
}

// Place in the source of column i of line y, and of the line, by OpenCV's order of rounding.
function sourceX(back, i, n, yx) {
  return i < n - n % LANES ? fround(back[0] * i + fround(yx + back[2])) : fround(fround(back[0] * i + yx) + back[2]);
}

function sourceY(back, i, n, yy) {
  return i < n - n % LANES ? fround(back[3] * i + fround(yy + back[5])) : fround(fround(back[3] * i + yy) + back[5]);
}

// Maps without rotation: every line has the same columns.
function columnsOf(back, n) {
  if (back[1] !== 0 || back[3] !== 0) return null;
  const whole = new Int32Array(n), share = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const sx = sourceX(back, i, n, 0);
    whole[i] = Math.floor(sx);
    share[i] = sx - whole[i];
  }
  return { whole: whole, share: share };
}

function drawLine(source, back, y, line, straight) {
  const n = line.length, columns = source.columns, rows = source.rows, pixels = source.pixels;
  const yx = fround(back[1] * y), yy = fround(back[4] * y);
  let sy = straight ? sourceY(back, 0, n, yy) : 0, iy = Math.floor(sy), ix = 0, ax = 0, ay = fround(sy - iy);
  for (let i = 0; i < n; i++) {
    if (straight) {
      ix = straight.whole[i];
      ax = straight.share[i];
    } else {
      const sx = sourceX(back, i, n, yx);
      sy = sourceY(back, i, n, yy);
      ix = Math.floor(sx);
      iy = Math.floor(sy);
      ax = fround(sx - ix);
      ay = fround(sy - iy);
    }
    if (ix < -1 || iy < -1 || ix >= columns || iy >= rows) { line[i] = 0; continue; }
    const at = iy * columns + ix, left = ix >= 0, right = ix + 1 < columns, top = iy >= 0, bottom = iy + 1 < rows;
    const p00 = left && top ? pixels[at] : 0, p01 = right && top ? pixels[at + 1] : 0;
    const p10 = left && bottom ? pixels[at + columns] : 0, p11 = right && bottom ? pixels[at + columns + 1] : 0;
    if (p00 === p01 && p00 === p10 && p00 === p11) { line[i] = p00; continue; }
    const upper = fround(p00 + ax * (p01 - p00)), lower = fround(p10 + ax * (p11 - p10));
    line[i] = fround(upper + ay * fround(lower - upper));
  }
}

// Whether the mask touches a side of the frame that the map moves well inside.
function cutShows(edges, map, height, width) {
  if (!edges.length || isUnchanged(map)) return false;
  const box = boxOf(edges, width), x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
  const sides = [[box[0] === 0, 0, y], [box[2] === width, width, y], [box[1] === 0, x, 0], [box[3] === height, x, height]];
  return sides.some(function (side) {
    if (!side[0]) return false;
    const point = mapPoint(map, side[1], side[2]), shares = [point[0] / width, point[1] / height];
    return shares.every(function (share) { return share > CUT_FRAC && share < 1 - CUT_FRAC; });
  });
}
