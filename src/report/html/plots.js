// Curves of a sample, and distributions over all.

/** Deletion and insertion in one plot. */
function curvesFigure(detail, entry) {
  const lines = detail.curves;
  const [width, height, left, right, top, bottom] = [300, 190, 34, 8, 8, 30];
  const finite = [...lines.deletion, ...lines.insertion].filter((v) => v !== null);
  const most = Math.max(0.02, ...finite.map((v) => Math.min(1, v) * 1.08));
  const x = (share) => left + share * (width - left - right);
  const y = (value) => height - bottom - (Math.min(Math.max(value, 0), 1) / most) * (height - bottom - top);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": curvesLabel(entry) });
  for (const value of ticks(most)) {
    drawing.append(svg("line", { class: "axis", x1: x(0), x2: x(1), y1: y(value), y2: y(value) }));
    drawing.append(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, tickText(value)));
  }
  for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
    drawing.append(svg("text", { x: x(share), y: height - bottom + 14, "text-anchor": anchor }, `${share * 100} %`));
  }
  drawing.append(svg("text", { x: x(0.5), y: height - 3, "text-anchor": "middle" }, "cells replaced"));
  const levels = { picture: lines.deletion[0], baseline: lines.insertion[0] };
  for (const [name, level] of Object.entries(levels)) {
    if (typeof level === "number") drawing.append(svg("line", { class: name, x1: x(0), x2: x(1), y1: y(level), y2: y(level) }));
  }
  for (const name of ["deletion", "insertion"]) {
    const points = lines.fraction.map((share, i) => [share, lines[name][i]]).filter(([a, b]) => a !== null && b !== null);
    const path = points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    drawing.append(svg("path", { class: name, d: path }));
  }
  const sample = (element, name) => html("span", {}, svg("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" }, element), name);
  const path = (name) => svg("path", { class: name, d: "M0 4H22" });
  const dashes = (name) => svg("line", { class: name, x1: 0, x2: 22, y1: 4, y2: 4 });
  const caption = html("figcaption", {}, sample(path("deletion"), "deletion"), sample(path("insertion"), "insertion"),
    sample(dashes("picture"), "whole picture"), sample(dashes("baseline"), "baseline"));
  if (detail.undefined) caption.append(html("span", { class: "undefined" }, `No scores: ${detail.undefined}`));
  return html("figure", { class: "curves" }, drawing, caption);
}

function curvesLabel(entry) {
  const score = (value) => (value === null ? "undefined" : digits(value, 3));
  return `Probability of the key words. Deletion score ${score(entry.deletion)}, insertion score ${score(entry.insertion)}.`;
}

/** The least of 1, 2, 5, 10, 20, ... that is at least `rough`, and their tenths, hundredths, ... */
function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= rough * (1 - 1e-9));
}

/** Multiples of a round step from 0 up to `most`, three to six of them. */
function ticks(most) {
  const step = roundStep(most / 4);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}

function tickText(value) {
  return String(Number(value.toFixed(6))).replace("-", "−");
}

/** The most bars of a histogram. */
const BARS = 30;

/** A distribution, with fields for the range of values that samples are shown of. */
class Histogram {
  /** `field` names a number of an entry; `low` and `high` are the ends that the plot has at least, and `floor` and `ceiling` at most. */
  constructor({ field, name, hint, low, high, floor, ceiling }, changed) {
    Object.assign(this, { field, name, changed });
    const values = entries.map((entry) => entry[field]).filter((value) => value !== null);
    const least = Math.max(floor, values.reduce((a, b) => Math.min(a, b), low));
    const most = Math.min(ceiling, values.reduce((a, b) => Math.max(a, b), high));
    this.step = roundStep((most - least) / (BARS - 2));
    this.low = Math.floor(least / this.step + 1e-9) * this.step;
    this.bars = Math.ceil((most - this.low) / this.step - 1e-9);
    this.all = this.count(entries);
    this.mean = values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
    this.from = this.number("from");
    this.to = this.number("to");
    const title = html("h2", {}, name, " ", html("span", { class: "hint" }, hint));
    const range = html("div", { class: "range", role: "group", "aria-label": `${name}: range to show` },
      html("label", {}, "from", this.from), html("label", {}, "to", this.to));
    this.element = html("div", { class: "plot" }, title, this.draw(values.length), range);
  }

  number(word) {
    const input = html("input", { type: "number", step: "any", "aria-label": `${this.name} ${word}`, placeholder: word === "from" ? "least" : "most" });
    input.addEventListener("input", () => this.changed());
    return input;
  }

  /** The bar that a value is counted in: the first and the last hold what lies beyond them too. */
  bar(value) {
    return Math.min(this.bars - 1, Math.max(0, Math.floor((value - this.low) / this.step + 1e-9)));
  }

  edge(bar) {
    return this.low + bar * this.step;
  }

  /** Bars that begin at a multiple of a round value, about six of them. */
  labelled() {
    const every = roundStep((this.bars * this.step) / 6);
    const multiple = (value) => Math.abs(value / every - Math.round(value / every)) < 1e-6;
    return Array.from({ length: this.bars + 1 }, (_, bar) => bar).filter((bar) => multiple(this.edge(bar)));
  }

  count(some) {
    const counts = new Array(this.bars).fill(0);
    for (const entry of some) {
      if (entry[this.field] !== null) counts[this.bar(entry[this.field])] += 1;
    }
    return counts;
  }

  draw(count) {
    const [width, height, bottom] = [400, 104, 18];
    const wide = width / this.bars;
    const most = Math.max(1, ...this.all);
    this.tall = (n) => (n === 0 ? 0 : Math.max(1.5, (n / most) * (height - bottom - 16)));
    this.top = height - bottom;
    const label = `${this.name}: histogram of ${count} samples, mean ${digits(this.mean, 3)}`;
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    const bars = (kind) => this.all.map((n, i) => {
      const tall = this.tall(n);
      return svg("rect", { class: kind, x: i * wide + 0.75, width: wide - 1.5, y: this.top - tall, height: tall, rx: 1 });
    });
    this.some = bars("some");
    drawing.append(...bars("all"), ...this.some);
    this.all.forEach((n, i) => {
      const words = `${tickText(this.edge(i))} to ${tickText(this.edge(i + 1))}: ${n}`;
      const hit = svg("rect", { class: "hit", x: i * wide, width: wide, y: 0, height: this.top }, svg("title", {}, words));
      hit.addEventListener("click", () => this.take(i === 0 ? null : this.edge(i), i === this.bars - 1 ? null : this.edge(i + 1)));
      drawing.append(hit);
    });
    drawing.append(svg("line", { class: "axis", x1: 0, x2: width, y1: this.top + 0.5, y2: this.top + 0.5 }));
    for (const bar of this.labelled()) {
      const anchor = bar === 0 ? "start" : bar === this.bars ? "end" : "middle";
      drawing.append(svg("text", { x: bar * wide, y: height - 3, "text-anchor": anchor }, tickText(this.edge(bar))));
    }
    drawing.append(svg("text", { x: width, y: 10, "text-anchor": "end" }, `highest bar: ${most}`));
    return drawing;
  }

  /** Shows how many of `some` lie in each bar. */
  update(some) {
    this.count(some).forEach((n, i) => {
      const tall = this.tall(n);
      this.some[i].setAttribute("y", this.top - tall);
      this.some[i].setAttribute("height", tall);
    });
  }

  take(from, to) {
    const text = (value) => (value === null ? "" : String(Number(value.toFixed(4))));
    [this.from.value, this.to.value] = [text(from), text(to)];
    this.changed();
  }

  clear() {
    [this.from.value, this.to.value] = ["", ""];
  }

  get active() {
    return this.from.value !== "" || this.to.value !== "";
  }

  /** Whether an entry lies in the range; one without the value lies in no range. */
  has(entry) {
    if (!this.active) return true;
    const value = entry[this.field];
    const [from, to] = [this.from.value, this.to.value];
    return value !== null && (from === "" || value >= Number(from)) && (to === "" || value <= Number(to));
  }
}
