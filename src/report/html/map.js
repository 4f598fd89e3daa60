// The map over the picture, as `overlay.png` has it.

const RAMP = Uint8Array.from(page.ramp.match(/../g), (hex) => parseInt(hex, 16));

/** The map at `width * height` pixels, 0 to 1: bilinear, corner cells on corner pixels. */
function stretch(map, width, height) {
  const cells = bytesOf(map.cells);
  const last = map.size - 1;
  const tap = (i, n) => {
    const at = n > 1 ? (i / (n - 1)) * last : 0;
    const low = Math.min(Math.floor(at), last);
    return [low, Math.min(low + 1, last), at - low];
  };
  const columns = Array.from({ length: width }, (_, x) => tap(x, width));
  const out = new Float32Array(width * height);
  for (let y = 0, place = 0; y < height; y++) {
    const [top, bottom, down] = tap(y, height);
    const above = top * map.size, below = bottom * map.size;
    for (const [left, right, along] of columns) {
      const a = cells[above + left] + along * (cells[above + right] - cells[above + left]);
      const b = cells[below + left] + along * (cells[below + right] - cells[below + left]);
      out[place++] = (a + down * (b - a)) / 255;
    }
  }
  return out;
}

/**
 * Draws picture and map. At `position` 0 there is the picture alone, at 1 the map alone; at 0.5 the picture turns grey where the
 * map is low, so that its own colours are not taken for the map's, under a share of the map's colour.
 */
function blend(pixels, values, position, out) {
  const below = Math.min(1, 2 * position), above = Math.max(0, 2 * position - 1);
  for (let i = 0, p = 0; i < values.length; i++, p += 4) {
    const value = values[i];
    const heat = 3 * Math.round(value * 255);
    const grey = 0.299 * pixels[p] + 0.587 * pixels[p + 1] + 0.114 * pixels[p + 2];
    const greyness = below * (1 - value);
    let share = below * (0.35 + 0.2 * value);
    share += above * (1 - share);
    for (let c = 0; c < 3; c++) {
      const own = pixels[p + c] + greyness * (grey - pixels[p + c]);
      out[p + c] = own + share * (RAMP[heat + c] - own);
    }
    out[p + 3] = 255;
  }
}

/** A canvas with picture and map, drawn anew for every position of the slider. */
class Overlay {
  constructor(detail) {
    this.map = detail.map;
    this.position = 0;
    this.canvas = html("canvas");
    this.ready = detail.picture ? this.load(detail.picture) : this.without(detail);
  }

  async load(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    this.prepare(image.naturalWidth, image.naturalHeight, image);
  }

  /** A map whose picture is nowhere lies on nothing. */
  async without(detail) {
    const longest = Math.max(detail.width || 1, detail.height || 1);
    const side = (length) => Math.max(1, Math.round((320 * (length || longest)) / longest));
    this.prepare(side(detail.width), side(detail.height), null);
    this.position = 1;
    this.draw();
  }

  prepare(width, height, image) {
    this.canvas.width = width;
    this.canvas.height = height;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    if (image) this.context.drawImage(image, 0, 0);
    this.pixels = this.context.getImageData(0, 0, width, height).data;
    this.image = this.context.createImageData(width, height);
    this.values = this.map ? stretch(this.map, width, height) : null;
    this.draw();
  }

  /** Shows another map of the same picture, or with `null` the picture alone. */
  turnTo(map) {
    this.map = map;
    if (this.image) this.values = map ? stretch(map, this.image.width, this.image.height) : null;
    this.draw();
  }

  /** Shows another position, 0 to 1. */
  show(position) {
    this.position = position;
    this.draw();
  }

  draw() {
    if (!this.image) return;
    if (this.values) blend(this.pixels, this.values, this.position, this.image.data);
    else this.image.data.set(this.pixels);
    this.context.putImageData(this.image, 0, 0);
  }
}

/** What holds a canvas, and what lies over it, at a picture's proportions and at most `tallest` pixels of the page high. */
function frameOf(canvas, over, width, height, tallest) {
  const frame = html("div", { class: "frame" }, canvas, over);
  frame.style.aspectRatio = `${width} / ${height}`;
  frame.style.width = `min(100%, ${((tallest * width) / height).toFixed(1)}px)`;
  return frame;
}

/** The map's colours from left to right, as a background. */
function rampGradient() {
  const stops = [];
  for (let i = 0; i <= 16; i++) {
    const at = 3 * Math.round((i / 16) * 255);
    stops.push(`rgb(${RAMP[at]} ${RAMP[at + 1]} ${RAMP[at + 2]})`);
  }
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
