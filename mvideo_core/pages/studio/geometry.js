// Where objects are, and affine maps [a, b, x, c, d, y] in pixels (editing/geometry.py).
const UNCHANGED = [1, 0, 0, 0, 1, 0];

function isUnchanged(map) { return UNCHANGED.every(function (value, i) { return map[i] === value; }); }

function mapPoint(map, x, y) { return [map[0] * x + map[1] * y + map[2], map[3] * x + map[4] * y + map[5]]; }

function shiftMap(dx, dy) { return [1, 0, dx, 0, 1, dy]; }

// The map with this linear part that keeps a point fixed.
function aboutMap(linear, point) {
  const x = point[0] - (linear[0] * point[0] + linear[1] * point[1]), y = point[1] - (linear[2] * point[0] + linear[3] * point[1]);
  return [linear[0], linear[1], x, linear[2], linear[3], y];
}

function rotation(degrees) {
  const angle = degrees * (Math.PI / 180), cos = Math.cos(angle), sin = Math.sin(angle);
  return [cos, sin, -sin, cos];
}

// The map that applies `inner` first, then `outer`.
function afterMap(outer, inner) {
  const end = mapPoint(outer, inner[2], inner[5]);
  return [
    outer[0] * inner[0] + outer[1] * inner[3], outer[0] * inner[1] + outer[1] * inner[4], end[0],
    outer[3] * inner[0] + outer[4] * inner[3], outer[3] * inner[1] + outer[4] * inner[4], end[1]
  ];
}

function pointsOf(edges, width) {
  let total = 0, x = 0, y = 0, left = Infinity, right = -Infinity, row = 0;
  for (let i = 0; i < edges.length; i += 2) {
    row = Math.floor(edges[i] / width);
    const start = edges[i] - row * width, end = edges[i + 1] - row * width, length = end - start;
    total += length;
    x += (start + end) / 2 * length;
    y += (row + 0.5) * length;
    left = Math.min(left, start);
    right = Math.max(right, end);
  }
  return { center: [x / total, y / total], foot: [(left + right) / 2, row + 1] };
}

// Center and foot of every object in every frame; frames without the object are interpolated. Measured once per clip.
function motionOf(clip) {
  if (clip.motion) return clip.motion;
  const middle = [clip.width / 2, clip.height / 2], motion = { centers: [], feet: [], visible: [] };
  for (let n = 0; n < clip.n_objects; n++) {
    const seen = [], centers = [], feet = [], visible = [];
    for (let t = 0; t < clip.n_frames; t++) {
      const edges = clip.edges(t, n);
      visible.push(edges.length > 0);
      if (!edges.length) continue;
      const points = pointsOf(edges, clip.width);
      seen.push(t);
      centers.push(points.center);
      feet.push(points.foot);
    }
    const fill = function (points) {
      const x = points.map(function (point) { return point[0]; }), y = points.map(function (point) { return point[1]; });
      return visible.map(function (_, t) { return seen.length ? [interpolate(t, seen, x), interpolate(t, seen, y)] : middle; });
    };
    motion.centers.push(fill(centers));
    motion.feet.push(fill(feet));
    motion.visible.push(visible);
  }
  clip.motion = motion;
  return motion;
}
