// A lossless gray mp4 of label maps, for every browser and player: H.264 (baseline, 4:2:0, full range) in which a
// macroblock repeats the last frame, continues its left or upper neighbor, or holds its pixels as they are (I_PCM).
const MB = 16, MOVIE_TICKS = 1000;

// Label maps (masks/io/label_maps.py): object n has the value n + 1, a single object 255; later objects cover earlier ones.
function labelMap(clip, t) {
  const pixels = new Uint8Array(clip.height * clip.width);
  for (let n = 0; n < clip.n_objects; n++) fillRuns(pixels, clip.edges(t, n), clip.n_objects === 1 ? 255 : n + 1);
  return pixels;
}

class BitWriter {
  constructor() { this.bytes = new Uint8Array(1 << 16); this.n = 0; this.word = 0; this.held = 0; }

  byte(value) {
    if (this.n === this.bytes.length) {
      const wider = new Uint8Array(2 * this.n);
      wider.set(this.bytes);
      this.bytes = wider;
    }
    this.bytes[this.n++] = value;
  }

  bits(value, n) {
    for (let i = n - 1; i >= 0; i--) {
      this.word = this.word << 1 | (Math.floor(value / Math.pow(2, i)) & 1);
      if (++this.held === 8) { this.byte(this.word); this.word = 0; this.held = 0; }
    }
  }

  ue(value) {  // Exp-Golomb
    const n = 32 - Math.clz32(value + 1);
    this.bits(0, n - 1);
    this.bits(value + 1, n);
  }

  align() { while (this.held) this.bits(0, 1); }

  // The unit with its header byte, and with the bytes that keep start codes out of it.
  unit(header) {
    this.bits(1, 1);
    this.align();
    const out = new Uint8Array(2 + Math.ceil(this.n * 1.5));
    let n = 1, zeros = 0;
    out[0] = header;
    for (let i = 0; i < this.n; i++) {
      const value = this.bytes[i];
      if (zeros === 2 && value < 4) { out[n++] = 3; zeros = 0; }
      out[n++] = value;
      zeros = value ? 0 : zeros + 1;
    }
    return out.subarray(0, n);
  }
}

function sequenceParameters(clip, rate) {
  const across = Math.ceil(clip.width / MB), down = Math.ceil(clip.height / MB), out = new BitWriter();
  [66, 0xc0, across * down > 36864 ? 62 : 51].forEach(function (value) { out.bits(value, 8); });
  [0, 0, 2, 1].forEach(function (value) { out.ue(value); });  // id, 4-bit frame numbers, output in coded order, one reference
  out.bits(0, 1);
  out.ue(across - 1);
  out.ue(down - 1);
  out.bits(3, 2);  // frames only, 8x8 inference
  out.bits(1, 1);
  [0, (across * MB - clip.width) / 2, 0, (down * MB - clip.height) / 2].forEach(function (value) { out.ue(value); });
  out.bits(1, 1);  // usability information
  out.bits(0x101, 9);  // square pixels
  out.bits(0, 1);
  out.bits(0b1101, 4);  // signal type: unspecified format,
  out.bits(0b10, 2);  // full range, no color description
  out.bits(0, 1);
  out.bits(1, 1);
  out.bits(rate.step, 32);
  out.bits(2 * rate.scale, 32);
  out.bits(0b10000, 5);  // fixed rate; no buffering, picture structure or restrictions
  return out.unit(0x67);
}

function pictureParameters() {
  const out = new BitWriter();
  out.ue(0);
  out.ue(0);
  out.bits(0, 2);
  [0, 0, 0].forEach(function (value) { out.ue(value); });
  out.bits(0, 3);
  [0, 0, 0].forEach(function (value) { out.ue(value); });
  out.bits(0b100, 3);  // slices say that the deblocking filter is off
  return out.unit(0x68);
}

// The map, widened to whole macroblocks.
function wholeBlocks(pixels, clip) {
  const width = Math.ceil(clip.width / MB) * MB, height = Math.ceil(clip.height / MB) * MB;
  if (width === clip.width && height === clip.height) return pixels;
  const out = new Uint8Array(width * height);
  for (let y = 0; y < clip.height; y++) out.set(pixels.subarray(y * clip.width, (y + 1) * clip.width), y * width);
  return out;
}

// How a block is coded: "skip", 1 = continue the left column, 0 = continue the upper row, "pcm".
function blockForm(now, before, at, width, x, y) {
  let same = before !== null, across = x > 0, down = y > 0;
  for (let r = 0; r < MB && (same || across || down); r++) {
    const row = at + r * width;
    for (let c = row; c < row + MB; c++) {
      const value = now[c];
      if (same && value !== before[c]) same = false;
      if (across && value !== now[row - 1]) across = false;
      if (down && value !== now[at - width + c - row]) down = false;
    }
  }
  return same ? "skip" : across ? 1 : down ? 0 : "pcm";
}

function slice(now, before, width, height, number) {
  const out = new BitWriter(), across = width / MB, coefficients = new Uint8Array(across * height / MB), first = before === null;
  out.ue(0);
  out.ue(first ? 7 : 5);
  out.ue(0);
  out.bits(number & 15, 4);
  if (first) out.ue(0);
  out.bits(0, first ? 2 : 3);
  out.ue(0);  // no change of the quantizer
  out.ue(1);  // no deblocking
  let skipped = 0;
  for (let y = 0; y < height / MB; y++) {
    for (let x = 0; x < across; x++) {
      const at = y * MB * width + x * MB, form = blockForm(now, before, at, width, x, y), place = y * across + x;
      if (form === "skip") { skipped++; continue; }
      if (!first) { out.ue(skipped); skipped = 0; }
      const shift = first ? 0 : 5;
      if (form === "pcm") {
        out.ue(25 + shift);
        out.align();
        for (let r = 0; r < MB; r++) for (let c = 0; c < MB; c++) out.byte(now[at + r * width + c]);
        for (let i = 0; i < 128; i++) out.byte(128);
        coefficients[place] = 1;
        continue;
      }
      out.ue(1 + form + shift);
      out.bits(0b11, 2);  // flat chroma, no change of the quantizer
      if ((x && coefficients[place - 1]) || (y && coefficients[place - across])) out.bits(0b000011, 6); else out.bits(1, 1);
    }
  }
  if (skipped) out.ue(skipped);
  return out.unit(first ? 0x65 : 0x61);
}

function numberBytes(value, n) { return range(n, function (i) { return Math.floor(value / Math.pow(256, n - 1 - i)) & 255; }); }

function joined(parts) {
  const out = new Uint8Array(parts.reduce(function (sum, part) { return sum + part.length; }, 0));
  let place = 0;
  parts.forEach(function (part) { out.set(part, place); place += part.length; });
  return out;
}

// A box of an mp4: numbers are 32-bit values, strings are letters, arrays and nested boxes are bytes.
function box(name) {
  const parts = Array.prototype.slice.call(arguments, 1).map(function (part) {
    if (typeof part === "number") return numberBytes(part, 4);
    return typeof part === "string" ? Array.from(part, function (letter) { return letter.charCodeAt(0); }) : part;
  });
  const size = 8 + parts.reduce(function (sum, part) { return sum + part.length; }, 0);
  return joined([numberBytes(size, 4), Array.from(name, function (letter) { return letter.charCodeAt(0); })].concat(parts));
}

function rateOf(fps) {
  const step = [1, 1001, 1000].find(function (one) { return Math.abs(Math.round(fps * one) / one - fps) < 1e-7; }) || 90000;
  return { scale: Math.round(fps * step), step: step };
}

function sampleTable(clip, rate, samples, parameters, place) {
  const sps = parameters[0], pps = parameters[1], zeros = function (n) { return new Uint8Array(n); };
  const settings = box("avcC", [1, sps[1], sps[2], sps[3], 0xff, 0xe1], numberBytes(sps.length, 2), sps, [1], numberBytes(pps.length, 2), pps);
  const entry = box(
    "avc1", zeros(6), [0, 1], zeros(16), numberBytes(clip.width, 2), numberBytes(clip.height, 2),
    0x480000, 0x480000, 0, [0, 1], zeros(32), [0, 24, 255, 255], settings
  );
  return box(
    "stbl", box("stsd", 0, 1, entry), box("stts", 0, 1, samples.length, rate.step), box("stss", 0, 1, 1),
    box("stsc", 0, 1, 1, samples.length, 1), box("stsz", 0, 0, samples.length, joined(samples.map(function (one) { return numberBytes(one.length, 4); }))),
    box("stco", 0, 1, place)
  );
}

function movie(clip, rate, samples, parameters, place) {
  const ticks = Math.round(samples.length * rate.step / rate.scale * MOVIE_TICKS), length = samples.length * rate.step;
  const matrix = [].concat.apply([], [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000].map(function (value) { return numberBytes(value, 4); }));
  const zeros = function (n) { return new Uint8Array(n); };
  return box(
    "moov",
    box("mvhd", 0, 0, 0, MOVIE_TICKS, ticks, 0x10000, [1, 0], zeros(10), matrix, zeros(24), 2),
    box(
      "trak", box("tkhd", 3, 0, 0, 1, 0, ticks, zeros(8), zeros(8), matrix, clip.width * 65536, clip.height * 65536),
      box(
        "mdia", box("mdhd", 0, 0, 0, rate.scale, length, [0x55, 0xc4, 0, 0]), box("hdlr", 0, 0, "vide", zeros(12), "masks\0"),
        box(
          "minf", box("vmhd", 1, zeros(8)), box("dinf", box("dref", 0, 1, box("url ", 1))),
          sampleTable(clip, rate, samples, parameters, place)
        )
      )
    )
  );
}

// The file, and the number of pixels of overlapping objects that label maps cannot hold.
function writeGrayVideo(clip) {
  if (clip.n_objects >= 255) throw new Error(clip.n_objects + " objects; a gray video holds at most 254");
  if (clip.width % 2 || clip.height % 2) throw new Error("H.264 needs even sides; these masks are " + clip.width + " x " + clip.height);
  const rate = rateOf(clip.fps), parameters = [sequenceParameters(clip, rate), pictureParameters()];
  const width = Math.ceil(clip.width / MB) * MB, height = Math.ceil(clip.height / MB) * MB, samples = [];
  let before = null, lost = 0;
  for (let t = 0; t < clip.n_frames; t++) {
    const map = labelMap(clip, t), now = wholeBlocks(map, clip), unit = slice(now, before, width, height, t);
    for (let n = 0; n < clip.n_objects; n++) lost += area(clip.edges(t, n));
    for (let i = 0; i < map.length; i++) if (map[i]) lost--;
    samples.push(joined([numberBytes(unit.length, 4), unit]));
    before = now;
  }
  const head = box("ftyp", "isom", 512, "isomiso2avc1mp41");
  const place = head.length + movie(clip, rate, samples, parameters, 0).length + 8;
  const file = joined([head, movie(clip, rate, samples, parameters, place), box("mdat", joined(samples))]);
  return { file: file, lost: lost };
}
