// `.masks` files, version 2 (masks/packing.py), and clips: {n_frames, n_objects, height,
// width, fps, labels, edges(t, n)}; `origin`: each object's number in the clip that a list of edits started from.
const MASKS_MAGIC = "MVMS", MASKS_VERSION = 2, MASKS_HEAD = 32, MAX_RUNS = 1 << 24, MAX_SIDE_PX = 65535, MAX_AREA_PX = 1 << 30;
const MAX_MASKS = 1 << 24, ESCAPE = -128, NO_EDGES = new Int32Array(0);

const CRC_TABLE = Uint32Array.from({ length: 256 }, function (_, n) {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(parts) {
  let crc = -1;
  parts.forEach(function (part) {
    for (let i = 0; i < part.length; i++) crc = CRC_TABLE[(crc ^ part[i]) & 255] ^ (crc >>> 8);
  });
  return (crc ^ -1) >>> 0;
}

function checkShape(frames, objects, height, width) {
  const fits = height > 0 && width > 0 && height <= MAX_SIDE_PX && width <= MAX_SIDE_PX && height * width <= MAX_AREA_PX;
  if (!fits || frames * Math.max(objects, 1) > MAX_MASKS || objects > MAX_SIDE_PX) {
    throw new Error("masks of " + frames + " frames x " + objects + " objects x " + height + " x " + width + " px are too large");
  }
}

// A clip over edges of all masks: those of mask (t, n) are all[offsets[t * N + n] .. offsets[t * N + n + 1]].
function storedClip(shape, all, offsets, fps, labels) {
  return {
    n_frames: shape[0], n_objects: shape[1], height: shape[2], width: shape[3], fps: fps, labels: labels,
    origin: Array.from({ length: shape[1] }, function (_, n) { return n; }),
    edges: function (t, n) { const i = t * shape[1] + n; return all.subarray(offsets[i], offsets[i + 1]); }
  };
}

function readMasks(data, fps, labels) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const magic = String.fromCharCode.apply(null, data.subarray(0, 4));
  if (data.length < MASKS_HEAD || magic !== MASKS_MAGIC) throw new Error("not a .masks file: it starts with " + JSON.stringify(magic) + ", expected \"MVMS\"");
  const version = view.getUint16(4, true);
  if (version !== MASKS_VERSION) throw new Error("a .masks file of version " + version + "; this page reads version " + MASKS_VERSION);
  const body = data.subarray(MASKS_HEAD);
  if (crc32([data.subarray(0, 28), body]) !== view.getUint32(28, true)) throw new Error("the checksum does not match; the file is truncated or damaged");
  const shape = [8, 12, 16, 20].map(function (place) { return view.getUint32(place, true); }), nRuns = view.getUint32(24, true);
  checkShape.apply(null, shape);
  if (nRuns > MAX_RUNS) throw new Error(nRuns + " runs; at most " + MAX_RUNS + " allowed");
  const nMasks = shape[0] * shape[1], raw = unzstd(body, 4 * nMasks + 3 * nRuns, 4 * nMasks + 15 * nRuns);
  const edges = new Int32Array(2 * nRuns), offsets = new Uint32Array(nMasks + 1);
  const counts = new DataView(raw.buffer);
  let total = 0;
  for (let i = 0; i < nMasks; i++) {
    total += counts.getUint32(4 * i, true);
    if (total > nRuns) break;
    offsets[i + 1] = 2 * total;
  }
  if (total !== nRuns) throw new Error("the runs of the masks do not add up; the file is damaged");
  addRuns(raw, nMasks, nRuns, shape[2], shape[3], offsets, edges);
  return storedClip(shape, edges, offsets, fps, labels && labels.length === shape[1] ? labels : new Array(shape[1]).fill(""));
}

// Decodes the difference streams into `edges`.
function addRuns(raw, nMasks, nRuns, height, width, offsets, edges) {
  const small = new Int8Array(raw.buffer, 4 * nMasks, 3 * nRuns), planes = raw.subarray(4 * nMasks + 3 * nRuns);
  const nEscapes = planes.length / 4, values = [new Int32Array(nRuns), new Int32Array(nRuns), new Int32Array(nRuns)];
  let escape = 0;
  values.forEach(function (out, stream) {
    for (let mask = 0; mask < nMasks; mask++) {
      let sum = 0;
      for (let i = offsets[mask] / 2; i < offsets[mask + 1] / 2; i++) {
        let step = small[stream * nRuns + i];
        if (step === ESCAPE) {
          step = planes[escape] | planes[escape + nEscapes] << 8 | planes[escape + 2 * nEscapes] << 16 | planes[escape + 3 * nEscapes] << 24;
          escape++;
        }
        out[i] = sum = sum + step;
      }
    }
  });
  if (escape !== nEscapes) throw new Error("escaped values are missing or left over; the file is damaged");
  const rows = values[0], starts = values[1], ends = values[2];
  for (let mask = 0; mask < nMasks; mask++) {
    for (let first = offsets[mask] / 2, i = first; i < offsets[mask + 1] / 2; i++) {
      const inside = rows[i] >= 0 && rows[i] < height && starts[i] >= 0 && starts[i] < ends[i] && ends[i] <= width;
      if (!inside || (i > first && !(rows[i] > rows[i - 1] || (rows[i] === rows[i - 1] && starts[i] > ends[i - 1])))) {
        throw new Error("runs overlap or leave the frame; the file is damaged");
      }
      edges[2 * i] = rows[i] * width + starts[i];
      edges[2 * i + 1] = rows[i] * width + ends[i];
    }
  }
}

// The content of a `.masks` file; evaluates every mask of the clip.
function writeMasks(clip) {
  const counts = [], streams = [[], [], []], escapes = [];
  const masks = [];
  for (let t = 0; t < clip.n_frames; t++) for (let n = 0; n < clip.n_objects; n++) masks.push(clip.edges(t, n));
  streams.forEach(function (out, stream) {
    masks.forEach(function (edges) {
      let before = 0;
      for (let i = 0; i < edges.length; i += 2) {
        const row = Math.floor(edges[i] / clip.width);
        const value = stream === 0 ? row : edges[i + stream - 1] - row * clip.width, step = value - before;
        before = value;
        if (step <= ESCAPE || step >= -ESCAPE) { out.push(ESCAPE); escapes.push(step); } else out.push(step);
      }
    });
  });
  masks.forEach(function (edges) { counts.push(edges.length / 2); });
  const nRuns = streams[0].length, raw = new Uint8Array(4 * counts.length + 3 * nRuns + 4 * escapes.length);
  if (nRuns > MAX_RUNS) throw new Error(nRuns + " runs: at most " + MAX_RUNS + " fit one file");
  const view = new DataView(raw.buffer);
  counts.forEach(function (count, i) { view.setUint32(4 * i, count, true); });
  streams.forEach(function (out, stream) { new Int8Array(raw.buffer, 4 * counts.length + stream * nRuns, nRuns).set(out); });
  for (let plane = 0, place = 4 * counts.length + 3 * nRuns; plane < 4; plane++) {
    escapes.forEach(function (value) { raw[place++] = value >> 8 * plane & 255; });
  }
  const body = rawZstd(raw), file = new Uint8Array(MASKS_HEAD + body.length), head = new DataView(file.buffer);
  for (let i = 0; i < 4; i++) file[i] = MASKS_MAGIC.charCodeAt(i);
  head.setUint16(4, MASKS_VERSION, true);
  [clip.n_frames, clip.n_objects, clip.height, clip.width, nRuns].forEach(function (value, i) { head.setUint32(8 + 4 * i, value, true); });
  head.setUint32(28, crc32([file.subarray(0, 28), body]), true);
  file.set(body, MASKS_HEAD);
  return file;
}
