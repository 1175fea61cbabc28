// The edit operations (editing/operations): options are complete and checked. `moved` is where objects are now.
function checkObjects(objects, n) {
  if (objects === null || objects === undefined) return Array.from({ length: n }, function (_, i) { return i; });
  const unknown = objects.filter(function (one) { return one < 0 || one >= n; });
  if (unknown.length) throw new Error("objects " + unknown.join(", ") + ": the masks have objects 0 to " + (n - 1));
  return objects;
}

function framesToHold(seconds, fps) {
  const n = roundEven(seconds * fps);
  if (n === 0) throw new Error(seconds + " s is less than half a frame; use " + 1 / fps + " or more");
  return n;
}

function range(n, of) { return Array.from({ length: n }, function (_, i) { return of(i); }); }

// Maps of every frame and object: (moved, options) -> (t, n) -> map.
const WARPS = {
  mirror: function (moved, options) {
    const map = options.sides === "left-right" ? [-1, 0, moved.width, 0, 1, 0] : [1, 0, 0, 0, -1, moved.height];
    return function () { return map; };
  },
  pan: function (moved, options) {
    const axis = function (which) {
      if (moved.n_frames === 1) return [options.path[0][which]];
      return valuesOf(options.path.map(function (key) { return [key[0], key[which]]; }), moved.n_frames, moved.fps, options.ease);
    };
    const x = axis(1), y = axis(2);
    return function (t) { return shiftMap(-x[t] * moved.width, -y[t] * moved.height); };
  },
  rotate: function (moved, options) {
    const angles = valuesOf(options.angle_deg, moved.n_frames, moved.fps, options.ease);
    return function (t, n) { return aboutMap(rotation(angles[t]), moved.anchor(options.anchor, t, n)); };
  },
  scale: function (moved, options) {
    const factors = valuesOf(options.factor, moved.n_frames, moved.fps, options.ease);
    if (factors.some(function (factor) { return factor <= 0; })) throw new Error("a factor must be above 0");
    return function (t, n) { return aboutMap([factors[t], 0, 0, factors[t]], moved.anchor(options.anchor, t, n)); };
  },
  slope: slopeMaps,
  swap: function (moved, options) {
    const pair = checkObjects(options.objects, moved.n_objects), one = pair[0], other = pair[1];
    if (one === other) throw new Error("object " + one + " given twice; two different objects wanted");
    return function (t, n) {
      const a = moved.anchor("center", t, one), b = moved.anchor("center", t, other), sign = n === one ? 1 : n === other ? -1 : 0;
      return shiftMap(sign * (b[0] - a[0]), sign * (b[1] - a[1]));
    };
  },
  translate: function (moved, options) {
    const x = valuesOf(options.x_frac, moved.n_frames, moved.fps, options.ease), y = valuesOf(options.y_frac, moved.n_frames, moved.fps, options.ease);
    return function (t) { return shiftMap(x[t] * moved.width, y[t] * moved.height); };
  },
  zoom: function (moved, options) {
    const keys = options.keys || [["0%", options.start], ["100%", options.to]];
    const factors = moved.n_frames > 1 ? valuesOf(keys, moved.n_frames, moved.fps, options.ease) : [keys[keys.length - 1][1]];
    if (factors.some(function (factor) { return factor <= 0; })) throw new Error("a factor must be above 0");
    const point = [options.center[0] * moved.width, options.center[1] * moved.height];
    return function (t) { return aboutMap([factors[t], 0, 0, factors[t]], point); };
  }
};

const MIN_TRAVEL_FRAC = 0.02;

function slopeMaps(moved, options) {
  const frames = range(moved.n_frames, Number), chosen = checkObjects(options.objects, moved.n_objects);
  const rise = Math.tan(options.angle_deg * (Math.PI / 180)) * (options.direction === "uphill" ? 1 : -1);
  const about = range(moved.n_objects, function (n) {
    const x = frames.map(function (t) { return moved.anchor("center", t, n)[0]; });
    let forward = x[x.length - 1] - x[0] < 0 ? -1 : 1;
    if (options.facing !== "auto") forward = options.facing === "left" ? -1 : 1;
    const travel = x.map(function (value, t) { return forward * (value - x[0]) + options.hidden_speed_frac_per_s * moved.width * (t / moved.fps); });
    const seen = travel.filter(function (_, t) { return moved.visible(t, n); });
    let level = 0;
    if (seen.length) level = { start: seen[0], end: seen[seen.length - 1], middle: (Math.min.apply(null, seen) + Math.max.apply(null, seen)) / 2 }[options.level_at];
    return { forward: forward, travel: travel, level: level };
  });
  const ranges = chosen.map(function (n) { return Math.max.apply(null, about[n].travel) - Math.min.apply(null, about[n].travel); });
  if (!ranges.length || Math.max.apply(null, ranges) < MIN_TRAVEL_FRAC * moved.width) {
    throw new Error("no object moves sideways; if the camera follows it, set hidden_speed_frac_per_s and facing");
  }
  return function (t, n) {
    const one = about[n], map = shiftMap(0, -rise * (one.travel[t] - one.level));
    if (!options.tilt) return map;
    return afterMap(map, aboutMap(rotation(options.angle_deg * one.forward * Math.sign(rise)), moved.anchor("center", t, n)));
  };
}

// Numbers of the frames to show: (n_frames, fps, options) -> frames.
const TIMINGS = {
  delay: function (n, fps, options) {
    const held = framesToHold(options.by_s, fps);
    return range(n + held, function (k) { return Math.max(k - held, 0); });
  },
  freeze: function (n, fps, options) {
    const at = secondsOf(options.at, n, fps), frame = roundEven(at * fps);
    if (frame >= n) throw new Error(at + " s is beyond the clip, which lasts " + n / fps + " s");
    const held = framesToHold(options.for_s, fps);
    return range(n + held, function (k) { return k < frame ? k : Math.max(frame, k - held); });
  },
  loop: function (n, fps, options) {
    if (options.times !== null && options.to_s !== null) throw new Error("give times or to_s, not both");
    const once = options.mode === "repeat" || n === 1, step = once ? n : n - 1;
    const wanted = options.to_s === null ? step * (options.times || 2) + n - step : Math.max(1, roundEven(options.to_s * fps));
    return range(wanted, function (k) {
      if (once) return k % n;
      const place = k % (2 * n - 2);
      return place < n ? place : 2 * n - 2 - place;
    });
  },
  reverse: function (n) { return range(n, function (k) { return n - 1 - k; }); },
  speed_ramp: function (n, fps, options) {
    const speed = valuesOf(options.keys, n, fps, options.ease), shown = [0];
    if (speed.some(function (one) { return one < 0.01 || one > 100; })) throw new Error("a speed outside 0.01 to 100");
    for (let k = 0; k + 1 < n; k++) shown.push(shown[k] + (1 / speed[k] + 1 / speed[k + 1]) / 2);
    const frames = range(n, Number), out = Math.floor(shown[n - 1] + 1e-9) + 1;
    return range(out, function (k) { return Math.floor(interpolate(k, shown, frames) + 0.5 + 1e-9); });
  },
  stretch: function (n, fps, options) {
    if ((options.speed === null) === (options.to_s === null)) throw new Error("give either speed or to_s");
    let speed = options.speed, out;
    if (options.to_s !== null) {
      out = Math.max(1, roundEven(options.to_s * fps));
      speed = out > 1 ? (n - 1) / (out - 1) : 1;
    } else out = Math.floor((n - 1) / speed + 1e-9) + 1;
    return range(out, function (k) { return Math.min(Math.floor(k * speed + 0.5 + 1e-9), n - 1); });
  },
  trim: function (n, fps, options) {
    const start = secondsOf(options.start, n, fps), end = options.end === null ? n / fps : secondsOf(options.end, n, fps);
    const first = Math.ceil(start * fps - 1e-6), stop = Math.min(Math.ceil(end * fps - 1e-6), n);
    if (!(first >= 0 && first < stop)) throw new Error(start + " s to " + end + " s has no frame; the clip lasts " + n / fps + " s");
    return range(stop - first, function (k) { return first + k; });
  }
};

function perMask(change) {
  return function (clip, options) {
    const chosen = checkObjects(options.objects, clip.n_objects), h = clip.height, w = clip.width;
    return derivedClip(clip, {}, function (t, n) {
      const edges = clip.edges(t, n);
      return chosen.includes(n) ? edgesOf(change(pixelsOf(edges, h, w), h, w, options), h, w, 0, 0, w) : edges;
    });
  };
}

// Anything else: (clip, options) -> clip.
const REWRITES = {
  fill_holes: perMask(withoutHoles),
  grow: perMask(function (pixels, h, w, options) { return dilate(pixels, h, w, options.px); }),
  hide: perMask(function (pixels) { return new Uint8Array(pixels.length); }),
  invert: perMask(opposite),
  keep: function (clip, options) {
    if ((options.objects === null) === (options.labels === null)) throw new Error("give either objects or labels");
    if (!(options.objects || options.labels).length) throw new Error("an empty list keeps nothing");
    let chosen = checkObjects(options.objects, clip.n_objects);
    if (options.labels !== null) {
      const unknown = options.labels.filter(function (label) { return !label || !clip.labels.includes(label); });
      if (unknown.length) throw new Error("no object called " + unknown.join(", "));
      chosen = chosen.filter(function (n) { return options.labels.includes(clip.labels[n]); });
    }
    const labels = chosen.map(function (n) { return clip.labels[n]; });
    const origin = chosen.map(function (n) { return clip.origin[n]; });
    return derivedClip(clip, { n_objects: chosen.length, labels: labels, origin: origin }, function (t, n) { return clip.edges(t, chosen[n]); });
  },
  largest_part: perMask(largestPart),
  shrink: perMask(function (pixels, h, w, options) { return shrunk(pixels, h, w, options.px); }),
  smooth: perMask(function (pixels, h, w, options) { return smoothed(pixels, h, w, options.px); })
};
