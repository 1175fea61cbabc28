// Decoder of one zstd frame (RFC 8878): raw, RLE and compressed blocks, no dictionary. The frame must state its size.
const ZSTD_MAGIC = 0xfd2fb528;
const BLOCK_MAX_BYTES = 1 << 17;

const LITERAL_BASE = [16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];
const LITERAL_BITS = [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const MATCH_BASE = [35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539];
const MATCH_BITS = [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

const LITERAL_DEFAULT = [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1];
const MATCH_DEFAULT = [1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1];
const OFFSET_DEFAULT = [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1];

function damaged(what) { return new Error("the zstd frame is damaged: " + what); }

// Bits of data[start, end), read from the end; before the start there are zeros.
class BackwardBits {
  constructor(data, start, end) {
    const last = data[end - 1];
    if (end <= start || !last) throw damaged("a bit stream without its end mark");
    this.data = data;
    this.start = start;
    this.left = 8 * (end - start - 1) + 31 - Math.clz32(last);
  }

  // The n <= 24 bits before the current place, without moving; negative places read as 0.
  at(left, n) {
    if (n === 0) return 0;
    if (left < 0) return left + n <= 0 ? 0 : this.at(0, left + n) * Math.pow(2, -left);
    const place = this.start + (left >> 3), data = this.data;
    const word = data[place] | data[place + 1] << 8 | data[place + 2] << 16 | data[place + 3] << 24;
    return (word >>> (left & 7)) & ((1 << n) - 1);
  }

  read(n) {
    if (n > 24) {
      const high = this.read(n - 16);
      return high * 65536 + this.read(16);
    }
    this.left -= n;
    return this.at(this.left, n);
  }
}

// Probabilities of an FSE table; returns them with the accuracy and the place after them.
function readProbabilities(data, place, maxAccuracy) {
  const start = place * 8;
  let bit = start;
  const peek = function (n) {
    let value = 0;
    for (let i = 0; i < n; i++) value |= (data[(bit + i) >> 3] >> ((bit + i) & 7) & 1) << i;
    return value;
  };
  const accuracy = 5 + peek(4);
  bit += 4;
  if (accuracy > maxAccuracy) throw damaged("an FSE table is too large");
  const found = [];
  let left = (1 << accuracy) + 1;
  while (left > 1) {
    const n = 32 - Math.clz32(left), small = (1 << n) - 1 - left;
    const low = peek(n - 1);
    let value;
    if (low < small) {
      value = low;
      bit += n - 1;
    } else {
      value = peek(n);
      bit += n;
      if (value >= 1 << (n - 1)) value -= small;
    }
    value -= 1;
    left -= Math.abs(value);
    found.push(value);
    if (value === 0) {
      let more;
      do {
        more = peek(2);
        bit += 2;
        for (let i = 0; i < more; i++) found.push(0);
      } while (more === 3);
    }
    if (left < 1 || found.length > 256 || bit > 8 * data.length) throw damaged("an FSE table");
  }
  return { probabilities: found, accuracy: accuracy, end: (bit + 7) >> 3 };
}

function makeTable(probabilities, accuracy) {
  const size = 1 << accuracy, symbols = new Uint8Array(size), next = new Int32Array(probabilities.length);
  let high = size - 1;
  probabilities.forEach(function (share, symbol) {
    next[symbol] = Math.abs(share);
    if (share === -1) symbols[high--] = symbol;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let place = 0;
  probabilities.forEach(function (share, symbol) {
    for (let i = 0; i < share; i++) {
      symbols[place] = symbol;
      do place = (place + step) & (size - 1); while (place > high);
    }
  });
  const bits = new Uint8Array(size), base = new Uint16Array(size);
  for (let state = 0; state < size; state++) {
    const x = next[symbols[state]]++;
    bits[state] = accuracy - (31 - Math.clz32(x));
    base[state] = (x << bits[state]) - size;
  }
  return { symbols: symbols, bits: bits, base: base, accuracy: accuracy };
}

function constantTable(symbol) {
  return { symbols: Uint8Array.of(symbol), bits: new Uint8Array(1), base: new Uint16Array(1), accuracy: 0 };
}

function readWeights(data, place) {
  const head = data[place++];
  if (head >= 128) {
    const n = head - 127, weights = [];
    for (let i = 0; i < n; i++) weights.push(i % 2 ? data[place + (i >> 1)] & 15 : data[place + (i >> 1)] >> 4);
    return { weights: weights, end: place + ((n + 1) >> 1) };
  }
  const about = readProbabilities(data, place, 6), table = makeTable(about.probabilities, about.accuracy);
  const bits = new BackwardBits(data, about.end, place + head), weights = [];
  let one = bits.read(table.accuracy), two = bits.read(table.accuracy);
  for (;;) {
    weights.push(table.symbols[one]);
    if (bits.left < table.bits[one]) { weights.push(table.symbols[two]); break; }
    one = table.base[one] + bits.read(table.bits[one]);
    weights.push(table.symbols[two]);
    if (bits.left < table.bits[two]) { weights.push(table.symbols[one]); break; }
    two = table.base[two] + bits.read(table.bits[two]);
    if (weights.length > 255) throw damaged("too many Huffman weights");
  }
  return { weights: weights, end: place + head };
}

function readHuffman(data, place) {
  const found = readWeights(data, place), weights = found.weights;
  let sum = 0;
  weights.forEach(function (weight) { if (weight) sum += 1 << (weight - 1); });
  const depth = 32 - Math.clz32(sum), rest = (1 << depth) - sum;
  if (!sum || depth > 11 || (rest & (rest - 1))) throw damaged("Huffman weights");
  weights.push(32 - Math.clz32(rest));
  const symbols = new Uint8Array(1 << depth), bits = new Uint8Array(1 << depth);
  let at = 0;
  for (let weight = 1; weight <= depth; weight++) {
    weights.forEach(function (one, symbol) {
      if (one !== weight) return;
      const end = at + (1 << (weight - 1));
      symbols.fill(symbol, at, end);
      bits.fill(depth + 1 - weight, at, end);
      at = end;
    });
  }
  return { symbols: symbols, bits: bits, depth: depth, end: found.end };
}

function readStream(tree, data, start, end, out, from, to) {
  const bits = new BackwardBits(data, start, end);
  for (let i = from; i < to; i++) {
    const code = bits.at(bits.left - tree.depth, tree.depth);
    out[i] = tree.symbols[code];
    bits.left -= tree.bits[code];
  }
  if (bits.left !== 0) throw damaged("a Huffman stream has another length");
}

function readLiterals(data, place, held) {
  const kind = data[place] & 3, form = data[place] >> 2 & 3;
  if (kind < 2) {
    const wide = form === 1 ? 2 : form === 3 ? 3 : 1;
    const size = wide === 1 ? data[place] >> 3 : (data[place] | data[place + 1] << 8 | (wide === 3 ? data[place + 2] << 16 : 0)) >> 4;
    place += wide;
    if (size > BLOCK_MAX_BYTES) throw damaged("too many literals");
    if (kind === 0) return { literals: data.subarray(place, place + size), end: place + size };
    return { literals: new Uint8Array(size).fill(data[place]), end: place + 1 };
  }
  const wide = [3, 3, 4, 5][form], n = [10, 10, 14, 18][form];
  let word = 0;
  for (let i = wide - 1; i >= 0; i--) word = word * 256 + data[place + i];
  const size = Math.floor(word / 16) % (1 << n), packed = Math.floor(word / 16 / (1 << n));
  place += wide;
  const end = place + packed;
  if (size > BLOCK_MAX_BYTES || end > data.length) throw damaged("literals");
  if (kind === 2) {
    held.tree = readHuffman(data, place);
    place = held.tree.end;
  }
  if (!held.tree) throw damaged("literals without a tree");
  const out = new Uint8Array(size);
  if (form === 0) {
    readStream(held.tree, data, place, end, out, 0, size);
    return { literals: out, end: end };
  }
  const share = (size + 3) >> 2;
  let from = place + 6;
  for (let i = 0; i < 4; i++) {
    const to = i === 3 ? end : from + (data[place + 2 * i] | data[place + 2 * i + 1] << 8);
    readStream(held.tree, data, from, to, out, i * share, i === 3 ? size : (i + 1) * share);
    from = to;
  }
  return { literals: out, end: end };
}

function sequenceTable(mode, data, place, held, name, start, accuracy, maxAccuracy) {
  if (mode === 0) held[name] = makeTable(start, accuracy);
  else if (mode === 1) held[name] = constantTable(data[place++]);
  else if (mode === 2) {
    const about = readProbabilities(data, place, maxAccuracy);
    held[name] = makeTable(about.probabilities, about.accuracy);
    place = about.end;
  }
  if (!held[name]) throw damaged("a repeated table that was not given");
  return place;
}

// Copies literals and matches of one compressed block to `out`; returns the place after them.
function readBlock(data, out, at, held) {
  const found = readLiterals(data, 0, held), literals = found.literals;
  let place = found.end, n = data[place++], used = 0;
  if (n === 255) { n = 0x7f00 + (data[place] | data[place + 1] << 8); place += 2; }
  else if (n > 127) n = (n - 128 << 8) + data[place++];
  if (n) {
    const modes = data[place++];
    place = sequenceTable(modes >> 6, data, place, held, "literal", LITERAL_DEFAULT, 6, 9);
    place = sequenceTable(modes >> 4 & 3, data, place, held, "offset", OFFSET_DEFAULT, 5, 8);
    place = sequenceTable(modes >> 2 & 3, data, place, held, "match", MATCH_DEFAULT, 6, 9);
    const bits = new BackwardBits(data, place, data.length);
    const of = held.offset, ml = held.match, ll = held.literal, last = held.last;
    let l = bits.read(ll.accuracy), o = bits.read(of.accuracy), m = bits.read(ml.accuracy);
    for (let i = 0; i < n; i++) {
      const oCode = of.symbols[o], mCode = ml.symbols[m], lCode = ll.symbols[l];
      const value = Math.pow(2, oCode) + bits.read(oCode);
      const length = mCode < 32 ? mCode + 3 : MATCH_BASE[mCode - 32] + bits.read(MATCH_BITS[mCode - 32]);
      const plain = lCode < 16 ? lCode : LITERAL_BASE[lCode - 16] + bits.read(LITERAL_BITS[lCode - 16]);
      let offset = value - 3;
      if (value <= 3) {
        const which = value - 1 + (plain === 0 ? 1 : 0);
        offset = which === 3 ? last[0] - 1 : last[which];
        if (which > 1) last[2] = last[1];
        if (which > 0) { last[1] = last[0]; last[0] = offset; }
      } else { last[2] = last[1]; last[1] = last[0]; last[0] = offset; }
      if (used + plain > literals.length || at + plain + length > out.length || offset < 1 || offset > at + plain) throw damaged("a match");
      out.set(literals.subarray(used, used + plain), at);
      used += plain;
      at += plain;
      for (let k = 0; k < length; k++, at++) out[at] = out[at - offset];
      if (i + 1 < n) {
        l = ll.base[l] + bits.read(ll.bits[l]);
        m = ml.base[m] + bits.read(ml.bits[m]);
        o = of.base[o] + bits.read(of.bits[o]);
      }
    }
    if (bits.left !== 0) throw damaged("sequences have another length");
  }
  if (at + literals.length - used > out.length) throw damaged("more bytes than announced");
  out.set(literals.subarray(used), at);
  return at + literals.length - used;
}

// The content of a frame whose size must be within bounds; the bounds are checked before memory is allocated.
function unzstd(data, atLeast, atMost) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < 6 || view.getUint32(0, true) !== ZSTD_MAGIC) throw damaged("no zstd frame");
  const head = data[4], single = head >> 5 & 1, form = head >> 6, wide = [single, 2, 4, 8][form];
  let place = 5 + (single ? 0 : 1) + [0, 1, 2, 4][head & 3], size = 0;
  if (!wide || head & 8) throw damaged("it does not state its size");
  for (let i = wide - 1; i >= 0; i--) size = size * 256 + data[place + i];
  if (wide === 2) size += 256;
  place += wide;
  if (!(size >= atLeast && size <= atMost)) throw damaged(size + " bytes; " + atLeast + " to " + atMost + " allowed");
  const out = new Uint8Array(size), held = { last: [1, 4, 8] };
  let at = 0, isLast = 0;
  while (!isLast) {
    if (place + 3 > data.length) throw damaged("it is truncated");
    const word = data[place] | data[place + 1] << 8 | data[place + 2] << 16, kind = word >> 1 & 3, n = word >> 3;
    isLast = word & 1;
    place += 3;
    const stored = kind === 1 ? 1 : n;
    if (kind === 3 || place + stored > data.length || (kind < 2 && at + n > size)) throw damaged("a block");
    const block = data.subarray(place, place + stored);
    if (kind === 0) { out.set(block, at); at += n; }
    else if (kind === 1) { out.fill(block[0], at, at + n); at += n; }
    else at = readBlock(block, out, at, held);
    place += stored;
  }
  if (at !== size) throw damaged(at + " bytes instead of " + size);
  return out;
}

// A frame of raw blocks, which every decoder reads.
function rawZstd(data) {
  const n = Math.max(1, Math.ceil(data.length / BLOCK_MAX_BYTES)), out = new Uint8Array(9 + 3 * n + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, ZSTD_MAGIC, true);
  out[4] = 0xa0;  // one segment, its size in four bytes
  view.setUint32(5, data.length, true);
  let place = 9;
  for (let i = 0; i < n; i++) {
    const block = data.subarray(i * BLOCK_MAX_BYTES, (i + 1) * BLOCK_MAX_BYTES);
    const word = block.length << 3 | (i + 1 === n ? 1 : 0);
    out.set([word & 255, word >> 8 & 255, word >> 16], place);
    out.set(block, place + 3);
    place += 3 + block.length;
  }
  return out;
}
