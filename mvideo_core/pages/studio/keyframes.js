// Values over time (editing/keyframes.py): a number, or [[time, value], ...]; a time is seconds or "50%".
const PERCENT = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/;

function secondsOf(time, nFrames, fps) {
  if (typeof time === "number") return time;
  return Number(PERCENT.exec(time)[1]) / 100 * Math.max(nFrames - 1, 0) / fps;
}

function easeShare(share, ease) {
  if (ease === "ease") return share * share * (3 - 2 * share);
  if (ease === "ease-in") return share * share;
  if (ease === "ease-out") return 1 - (1 - share) * (1 - share);
  if (ease === "step") return Math.floor(share + 1e-7);
  return share;
}

// The value at every frame; constant before the first keyframe and after the last one.
function valuesOf(keyed, nFrames, fps, ease) {
  const out = new Float64Array(nFrames);
  if (typeof keyed === "number") return out.fill(keyed);
  const times = keyed.map(function (key) { return secondsOf(key[0], nFrames, fps); });
  for (let i = 1; i < times.length; i++) {
    if (times[i] - times[i - 1] <= 0) throw new Error("times of keyframes must increase; they are " + times.map(function (t) { return Math.round(t * 1000) / 1000; }).join(", ") + " s in this clip");
  }
  if (times.length === 1) return out.fill(keyed[0][1]);
  for (let t = 0; t < nFrames; t++) {
    const now = t / fps;
    let place = 0;
    while (place < times.length && times[place] <= now + 1e-7) place++;
    place = Math.min(Math.max(place - 1, 0), times.length - 2);
    const share = Math.min(Math.max((now - times[place]) / (times[place + 1] - times[place]), 0), 1);
    out[t] = keyed[place][1] + (keyed[place + 1][1] - keyed[place][1]) * easeShare(share, ease);
  }
  return out;
}

// numpy.interp for increasing x.
function interpolate(at, x, y) {
  if (at <= x[0]) return y[0];
  if (at >= x[x.length - 1]) return y[y.length - 1];
  let low = 0, high = x.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle; else high = middle;
  }
  if (x[low] === at) return y[low];
  return (y[high] - y[low]) / (x[high] - x[low]) * (at - x[low]) + y[low];
}
