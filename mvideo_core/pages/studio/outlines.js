// Changes of one mask's outline, with the same pixels as editing/morphology.py and scipy. Pixels are 0 or 1.

// All pixels within `px` of a pixel of the mask: every run, widened on each row by what the disc allows there.
function dilate(pixels, height, width, px) {
  const changes = new Int32Array((width + 1) * height), reach = [];
  for (let dy = 0; dy <= px; dy++) {
    let dx = Math.floor(Math.sqrt(px * px - dy * dy));
    while ((dx + 1) * (dx + 1) + dy * dy <= px * px) dx++;
    while (dx * dx + dy * dy > px * px) dx--;
    reach.push(dx);
  }
  const edges = edgesOf(pixels, height, width, 0, 0, width);
  for (let i = 0; i < edges.length; i += 2) {
    const row = Math.floor(edges[i] / width), start = edges[i] - row * width, end = edges[i + 1] - row * width;
    for (let y = Math.max(row - px, 0); y <= Math.min(row + px, height - 1); y++) {
      const dx = reach[Math.abs(y - row)];
      changes[y * (width + 1) + Math.max(start - dx, 0)]++;
      changes[y * (width + 1) + Math.min(end + dx, width)]--;
    }
  }
  const out = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0, sum = 0; x < width; x++) {
      sum += changes[y * (width + 1) + x];
      out[y * width + x] = sum > 0 ? 1 : 0;
    }
  }
  return out;
}

function opposite(pixels) { return pixels.map(function (value) { return 1 - value; }); }

function shrunk(pixels, height, width, px) { return opposite(dilate(opposite(pixels), height, width, px)); }

function smoothed(pixels, height, width, px) {
  const closed = shrunk(dilate(pixels, height, width, px), height, width, px);
  return dilate(shrunk(closed, height, width, px), height, width, px);
}

// Marks everything that is connected to `start` and has its value, by `mark`; returns the number of pixels.
function flood(pixels, height, width, start, marks, mark, corners) {
  const wanted = pixels[start], stack = [start];
  let count = 0;
  marks[start] = mark;
  while (stack.length) {
    const at = stack.pop(), x = at % width, y = (at - x) / width;
    count++;
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        if ((dx && dy && !corners) || x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height) continue;
        const next = at + dy * width + dx;
        if (pixels[next] === wanted && !marks[next]) { marks[next] = mark; stack.push(next); }
      }
    }
  }
  return count;
}

function withoutHoles(pixels, height, width) {
  const marks = new Uint8Array(height * width);
  const border = function (at) { if (!pixels[at] && !marks[at]) flood(pixels, height, width, at, marks, 1, false); };
  for (let x = 0; x < width; x++) { border(x); border((height - 1) * width + x); }
  for (let y = 0; y < height; y++) { border(y * width); border(y * width + width - 1); }
  return opposite(marks);
}

// The largest part; pixels that touch at a corner are connected. Among equal ones, the first in reading order.
function largestPart(pixels, height, width) {
  const marks = new Int32Array(height * width);
  let n = 0, best = 0, largest = 0;
  for (let at = 0; at < pixels.length; at++) {
    if (!pixels[at] || marks[at]) continue;
    const size = flood(pixels, height, width, at, marks, ++n, true);
    if (size > largest) { largest = size; best = n; }
  }
  if (n < 2) return pixels;
  return Uint8Array.from(marks, function (mark) { return mark === best ? 1 : 0; });
}
