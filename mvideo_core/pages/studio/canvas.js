// The picture: masks in the colors of their objects on black, selected ones outlined, and paths of their centers.
function rgbOf(hex) { return [1, 3, 5].map(function (at) { return parseInt(hex.slice(at, at + 2), 16); }); }

// Little-endian RGBA words, which fill runs fast.
function wordOf(rgb, share) {
  return (0xff000000 | Math.round(rgb[2] * share) << 16 | Math.round(rgb[1] * share) << 8 | Math.round(rgb[0] * share)) >>> 0;
}

class Painter {
  constructor(canvas, colors) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: false });
    this.full = colors.map(function (color) { return wordOf(rgbOf(color), 0.9); });
    this.soft = colors.map(function (color) { return wordOf(rgbOf(color), 0.55); });
    this.colors = colors;
  }

  resize(clip) {
    if (this.canvas.width === clip.width && this.canvas.height === clip.height && this.image) return;
    this.canvas.width = clip.width;
    this.canvas.height = clip.height;
    this.image = this.context.createImageData(clip.width, clip.height);
    this.words = new Uint32Array(this.image.data.buffer);
  }

  // `chosen`: numbers of the objects in full color; null = all.
  draw(clip, frame, chosen) {
    this.resize(clip);
    this.words.fill(0xff000000);
    for (let n = 0; n < clip.n_objects; n++) {
      const bright = chosen === null || chosen.includes(n), color = n % this.colors.length;
      fillRuns(this.words, clip.edges(frame, n), bright ? this.full[color] : this.soft[color]);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  // Outline of one object: its pixels next to pixels outside, drawn white.
  outline(clip, frame, n) {
    const edges = clip.edges(frame, n), context = this.context, width = clip.width;
    context.fillStyle = "#ffffff";
    for (let i = 0; i < edges.length; i += 2) {
      const y = Math.floor(edges[i] / width), x = edges[i] - y * width;
      context.fillRect(x, y, 1, 1);
      context.fillRect(x + edges[i + 1] - edges[i] - 1, y, 1, 1);
    }
  }

  // Path of an object's center over the clip; the keyframes as dots, the current one larger.
  path(points, keys, frame, color) {
    const context = this.context, size = Math.max(3, this.canvas.width / 150);
    context.lineWidth = size / 2;
    context.strokeStyle = "#ffffff";
    context.beginPath();
    points.forEach(function (point) { if (point) context.lineTo(point[0], point[1]); });
    context.stroke();
    keys.concat([frame]).forEach(function (key) {
      const point = points[key];
      if (!point) return;
      context.beginPath();
      context.arc(point[0], point[1], key === frame ? size * 1.5 : size, 0, 7);
      context.fillStyle = color;
      context.fill();
      context.stroke();
    });
  }

  // Place of a pointer in pixels of the masks.
  place(event) {
    const box = this.canvas.getBoundingClientRect(), scale = Math.min(box.width / this.canvas.width, box.height / this.canvas.height);
    const left = box.left + (box.width - this.canvas.width * scale) / 2, top = box.top + (box.height - this.canvas.height * scale) / 2;
    return [(event.clientX - left) / scale, (event.clientY - top) / scale];
  }
}

// The object in front at a place, -1 if there is none.
function objectAt(clip, frame, place) {
  const x = Math.floor(place[0]), y = Math.floor(place[1]), at = y * clip.width + x;
  if (x < 0 || y < 0 || x >= clip.width || y >= clip.height) return -1;
  for (let n = clip.n_objects - 1; n >= 0; n--) {
    const edges = clip.edges(frame, n);
    for (let i = 0; i < edges.length; i += 2) if (at >= edges[i] && at < edges[i + 1]) return n;
  }
  return -1;
}
