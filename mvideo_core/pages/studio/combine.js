// Several clips in one picture (editing/combine.py): layers {clip, start_s, tail}, back to front.
const HIDDEN = -1;

function placementOf(height, width, newHeight, newWidth, fit) {
  let x = newWidth / width, y = newHeight / height;
  if (fit === "crop") x = y = Math.max(x, y);
  else if (fit === "letterbox") x = y = Math.min(x, y);
  return { x: x, y: y, left: (newWidth - width * x) / 2, top: (newHeight - height * y) / 2 };
}

function newBounds(low, high, scale, offset, size) {
  const first = Math.max(Math.floor(low * scale + offset), 0), last = Math.min(Math.ceil(high * scale + offset), size);
  return range(Math.max(last + 1 - first, 0), function (i) { return first + i; });
}

// Integrals of each row of `values` (rows x columns) between borders.
function integrals(values, rows, columns, borders) {
  const out = new Float64Array(rows * (borders.length - 1)), total = new Float64Array(columns + 1);
  const places = borders.map(function (border) {
    const at = Math.min(Math.max(border, 0), columns), left = Math.min(Math.trunc(at), columns - 1);
    return [left, at - left];
  });
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) total[x + 1] = total[x] + values[y * columns + x];
    let before = 0;
    places.forEach(function (place, i) {
      const value = total[place[0]] * (1 - place[1]) + total[place[0] + 1] * place[1];
      if (i) out[y * (borders.length - 1) + i - 1] = value - before;
      before = value;
    });
  }
  return out;
}

function transposed(values, rows, columns) {
  const out = new Float64Array(values.length);
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) out[x * rows + y] = values[y * columns + x];
  return out;
}

// Edges of a mask in a new frame: at least half of a pixel's area is covered.
function placeEdges(edges, height, width, newHeight, newWidth, place) {
  const same = height === newHeight && width === newWidth && place.x === 1 && place.y === 1 && !place.left && !place.top;
  if (!edges.length || same) return edges;
  const box = boxOf(edges, width), columns = newBounds(box[0], box[2], place.x, place.left, newWidth);
  const rows = newBounds(box[1], box[3], place.y, place.top, newHeight);
  if (columns.length < 2 || rows.length < 2) return NO_EDGES;
  const w = box[2] - box[0], h = box[3] - box[1], part = new Float64Array(w * h);
  for (let i = 0; i < edges.length; i += 2) {
    const row = Math.floor(edges[i] / width), start = (row - box[1]) * w + edges[i] - row * width - box[0];
    part.fill(1, start, start + edges[i + 1] - edges[i]);
  }
  const across = columns.length - 1, down = rows.length - 1;
  const wide = integrals(part, h, w, columns.map(function (x) { return (x - place.left) / place.x - box[0]; }));
  const both = integrals(transposed(wide, h, across), across, h, rows.map(function (y) { return (y - place.top) / place.y - box[1]; }));
  const share = place.x * place.y, pixels = new Uint8Array(across * down);
  for (let y = 0; y < down; y++) for (let x = 0; x < across; x++) pixels[y * across + x] = both[x * down + y] * share >= 0.5 - 1e-9 ? 1 : 0;
  return edgesOf(pixels, down, across, rows[0], columns[0], newWidth);
}

function pastEnd(index, n, tail) {
  if (index < 0) return HIDDEN;
  if (tail === "hide") return index >= n ? HIDDEN : index;
  if (tail === "loop") return index % n;
  if (tail === "bounce" && n > 1) {
    const turn = index % (2 * n - 2);
    return turn < n ? turn : 2 * n - 2 - turn;
  }
  return Math.min(index, n - 1);
}

// Edges of each object of each layer, minus what the layers in front of it cover.
function occluded(layers, height, width) {
  const covered = new Uint8Array(height * width);
  return layers.slice().reverse().map(function (objects) {
    const visible = objects.map(function (edges) {
      const pixels = pixelsOf(edges, height, width);
      let hidden = false;
      for (let i = 0; i < edges.length; i += 2) {
        for (let at = edges[i]; at < edges[i + 1]; at++) if (covered[at]) { hidden = true; pixels[at] = 0; }
      }
      return hidden ? edgesOf(pixels, height, width, 0, 0, width) : edges;
    });
    objects.forEach(function (edges) { fillRuns(covered, edges, 1); });
    return visible;
  }).reverse();
}

// One clip with the objects of all layers, numbered layer by layer; options as in CombineOptions, complete.
function combineLayers(layers, options) {
  const clips = layers.map(function (layer) { return layer.clip; });
  const fps = options.fps || Math.max.apply(null, clips.map(function (clip) { return clip.fps; }));
  const height = options.height_px || clips[0].height, width = options.width_px || clips[0].width;
  const ends = layers.map(function (layer) { return layer.start_s + layer.clip.n_frames / layer.clip.fps; });
  const end = { longest: Math.max.apply(null, ends), shortest: Math.min.apply(null, ends), first: ends[0] }[options.length];
  const n = Math.ceil(end * fps - 1e-6);
  if (n < 1) throw new Error("the " + options.length + " layer ends before the first frame; change its start");
  const frameOf = function (layer, t) {
    return pastEnd(Math.floor((t / fps - layer.start_s) * layer.clip.fps + 0.5 + 1e-9), layer.clip.n_frames, layer.tail);
  };
  const owners = [], held = new Map();
  layers.forEach(function (layer, number) { for (let k = 0; k < layer.clip.n_objects; k++) owners.push([number, k]); });
  checkShape(n, owners.length, height, width);
  const picture = function (t) {
    if (held.has(t)) return held.get(t);
    let drawn = layers.map(function (layer) {
      const clip = layer.clip, frame = frameOf(layer, t), place = placementOf(clip.height, clip.width, height, width, options.fit);
      return range(clip.n_objects, function (k) {
        return frame === HIDDEN ? NO_EDGES : placeEdges(clip.edges(frame, k), clip.height, clip.width, height, width, place);
      });
    });
    if (options.occlude) drawn = occluded(drawn, height, width);
    held.set(t, drawn);
    return drawn;
  };
  return {
    n_frames: n, n_objects: owners.length, height: height, width: width, fps: fps,
    owners: owners, frameOf: frameOf, origin: range(owners.length, Number),
    labels: [].concat.apply([], clips.map(function (clip) { return clip.labels; })),
    edges: function (t, k) { return picture(t)[owners[k][0]][owners[k][1]]; }
  };
}
