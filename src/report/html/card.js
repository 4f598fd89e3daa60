// One sample.

/** The greatest height of a picture, in pixels of the page. */
const TALLEST = 340;

/** The choice between the map of the whole answer and those of its words. */
class Choice {
  /** `turn` shows the maps of a unit by its place, those of the whole answer by -1. */
  constructor(detail, turn) {
    this.units = detail.each;
    this.turn = turn;
    /** The place of the unit that is shown, -1 for the whole answer. */
    this.at = -1;
    this.words = this.units.map(() => []);
    this.note = html("p", { class: "below", "aria-live": "polite" });
    this.tell();
  }

  /** Makes the word of a token a button, if it is in a unit; one word of a unit takes the focus. */
  adopt(word, token) {
    const at = this.units.findIndex((unit) => unit.tokens.includes(token));
    if (at < 0) return;
    wordButton(word, this.words[at], `Map of ${this.units[at].text}`, () => this.show(this.at === at ? -1 : at));
  }

  /** The next word's map; after the last one, the whole answer's. */
  next() {
    this.show(this.at + 1 < this.units.length ? this.at + 1 : -1);
  }

  show(at) {
    this.at = at;
    markChosen(this.words, (place) => place === at);
    this.turn(at);
    this.tell();
  }

  tell() {
    this.note.textContent = this.at < 0 ? "Map of the whole answer" : `Map of \u201c${this.units[this.at].text}\u201d alone`;
  }
}

/** Its row, and what the data call it where that is something else. */
function nameOf(entry) {
  return entry.id && entry.id !== String(entry.index) ? `#${entry.index} ${entry.id}` : `#${entry.index}`;
}

function headOf(entry) {
  const tag = (kind, words) => html("span", { class: `tag ${kind}` }, words);
  const head = html("header", {}, html("h3", {}, nameOf(entry)));
  if (entry.category) head.append(html("span", { class: "kind" }, entry.category));
  if (entry.cause) head.append(tag("bad", `failed: ${entry.cause}`));
  if (entry.correct !== null) head.append(entry.correct ? tag("good", "✓ right") : tag("bad", "✗ wrong"));
  if (entry.image_dependent !== null) {
    head.append(entry.image_dependent ? tag("", `needs the picture`) : tag("warn", "does not need the picture"));
  }
  if (!entry.cause) head.append(scoresOf(entry));
  return head;
}

function pictureOf(card, entry, detail) {
  const figure = html("figure", { class: "picture" });
  const others = detail.others ?? [];
  const all = [detail, ...others];
  const overlays = all.map((one) => overlayOf(figure, entry, one, detail.message));
  // A map whose picture is missing stays as it is.
  const turned = overlays.filter((_, place) => all[place].picture && all[place].map);
  const show = (position) => turned.forEach((overlay) => overlay.show(position));
  if (turned.length) {
    const control = slider({ show }, `Picture to map, sample ${entry.index}`);
    figure.append(control.element);
    card.shown = control.show;
    view.shown.add(control.show);
    turned.forEach((overlay) => (overlay.position = view.position));
    control.show(view.position);
  }
  if (detail.map && detail.each?.length) {
    const maps = (at) => [
      at < 0 ? detail.map : detail.each[at].map,
      ...others.map((other) => (at < 0 ? other.map : other.each[at]) ?? null),
    ];
    card.choice = new Choice(detail, (at) => maps(at).forEach((map, place) => overlays[place]?.turnTo(map)));
    figure.append(card.choice.note);
  }
  return figure;
}

/** Appends a picture under its map to a figure, or says that there is none. */
function overlayOf(figure, entry, one, message) {
  let overlay = null;
  if (one.picture || one.map) {
    overlay = new Overlay(one);
    const [width, height] = [one.width || 1, one.height || 1];
    const what = one.map ? (one.picture ? "Picture and map" : "Map, its picture missing,") : "Picture";
    fill(overlay.canvas, { role: "img", "aria-label": `${what} of sample ${entry.index}: ${one.path}` }, []);
    const boxes = one.boxes?.length ? boxesOf(one.boxes, width, height) : null;
    const frame = frameOf(overlay.canvas, boxes, width, height, TALLEST);
    figure.append(frame);
    overlay.ready.catch(() => frame.before(html("div", { class: "without" }, "The picture cannot be shown.")));
  }
  if (!one.picture) {
    const reason = one.missing && one.missing !== message ? `No picture: ${one.missing}` : "No picture";
    figure.append(html("p", { class: one.map ? "below" : "without" }, reason));
  }
  return overlay;
}

function boxesOf(boxes, width, height) {
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const [left, top, right, bottom] of boxes) {
    const place = { x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
    drawing.append(svg("rect", { class: "edge", ...place }), svg("rect", place));
  }
  return drawing;
}

function textOf(card, entry, detail) {
  const part = (name, ...children) => html("div", {}, html("h4", {}, name), ...children);
  const text = html("div", { class: "text" }, part("Question", html("p", { class: "long", tabindex: entry.question.length > 600 ? 0 : null }, entry.question)));
  if (entry.cause) {
    text.append(part("Failed", html("p", { class: "message" }, detail.message || entry.cause)));
  } else {
    text.append(part("Answer", html("p", { class: "answer" }, ...answerWords(detail.tokens, entry.answer, card.choice))));
  }
  if (detail.faithfulness) text.append(part("The map's most salient part", html("p", {}, faithfulnessText(detail.faithfulness))));
  if (detail.choices.length) text.append(part("Options", choicesOf(detail)));
  if (entry.right && !(detail.choices.length && detail.letter)) text.append(part("Right answer", html("p", {}, entry.right)));
  if (detail.tokens.length) text.append(folded("Words in numbers", () => [tokenTable(detail.tokens)]));
  text.append(folded("More", () => [moreOf(detail)]));
  return text;
}

function choicesOf(detail) {
  const item = (choice, place) => {
    const letter = String.fromCharCode(65 + place);
    const notes = [letter === detail.letter ? "right" : null, letter === detail.chosen ? "chosen" : null].filter(Boolean);
    return html("li", {}, choice, notes.length ? html("em", {}, notes.join(", ")) : null);
  };
  return html("ol", {}, ...detail.choices.map(item));
}

function moreOf(detail) {
  const all = [detail, ...(detail.others ?? [])];
  const sizes = all.map((one) => (one.width ? `${one.width} × ${one.height}` : null)).filter(Boolean);
  const size = sizes.length ? sizes.join(", ") : null;
  const rows = { Picture: all.map((one) => one.path).filter(Boolean).join(", "), Size: size, Seed: detail.seed, Evaluations: detail.evaluations };
  const known = Object.entries(rows).filter(([, value]) => value !== null && value !== "");
  return html("dl", {}, ...known.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, String(value))]));
}

/** Fills a sample's element. */
function fillCard(card) {
  if (card.filled) return;
  const [entry, detail] = [entries[card.place], detailOf(card.place)];
  card.filled = true;
  card.element.style.minHeight = "";
  card.element.classList.toggle("failed", entry.cause !== null);
  card.element.append(headOf(entry), pictureOf(card, entry, detail), textOf(card, entry, detail));
  if (detail.curves) card.element.append(curvesFigure(detail, entry));
}

/** Empties it again and keeps its height, so that what is below stays where it is. */
function emptyCard(card) {
  if (!card.filled) return;
  if (card.element.isConnected) card.element.style.minHeight = `${card.element.offsetHeight}px`;
  view.shown.delete(card.shown);
  card.choice = null;
  card.element.replaceChildren();
  card.filled = false;
}
