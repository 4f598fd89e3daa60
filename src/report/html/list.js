// Which samples are shown, and in which order.

const cards = entries.map((entry, place) => ({
  place,
  filled: false,
  shown: null,
  choice: null,
  element: html("article", { class: "card", id: `sample${entry.index}`, tabindex: -1, "aria-label": nameOf(entry) }),
  words: [entry.id, entry.question, entry.answer, entry.right, entry.category].filter(Boolean).join("\n").toLowerCase(),
}));
const cardOf = new Map(cards.map((card) => [card.element, card]));

/** Cards that are shown, in their order. */
let listed = [];
/** The sample that keys move from. */
let current = null;

const histograms = [
  { field: "deletion", name: "Deletion score", hint: "low is good", low: 0, high: 1, floor: -0.5, ceiling: 1.5 },
  { field: "insertion", name: "Insertion score", hint: "high is good", low: 0, high: 1, floor: -0.5, ceiling: 1.5 },
  { field: "log_ratio", name: "Largest log-ratio of a word", hint: "nats", low: 0, high: 1, floor: -5, ceiling: 50 },
].map((plot) => new Histogram(plot, () => update()));

const fields = { search: byId("search"), answer: byId("answer"), picture: byId("picture"), failure: byId("failure"), kind: byId("kind"), order: byId("order") };

/** For every filter, what an entry must be for each of its choices. */
const CHOICES = {
  answer: { right: (e) => e.correct === true, wrong: (e) => e.correct === false, open: (e) => e.correct === null },
  picture: { needed: (e) => e.image_dependent === true, spare: (e) => e.image_dependent === false },
  failure: { none: (e) => e.cause === null, any: (e) => e.cause !== null },
};

const VALUES = {
  insertion: (e) => e.insertion,
  deletion: (e) => e.deletion,
  gap: (e) => (e.insertion === null || e.deletion === null ? null : e.insertion - e.deletion),
  ratio: (e) => e.log_ratio,
};

function chosen() {
  const words = fields.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const tests = histograms.filter((plot) => plot.active).map((plot) => (entry) => plot.has(entry));
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = fields[name].value;
    if (value) tests.push(choices[value] ?? ((entry) => entry.cause === value.slice("cause ".length)));
  }
  if (fields.kind.value) tests.push((entry) => entry.category === fields.kind.value);
  return cards.filter((card) => words.every((word) => card.words.includes(word)) && tests.every((test) => test(entries[card.place])));
}

/** Sorts by a value; those without one come last either way, equal ones stay in the order of the data. */
function sorted(some, order) {
  if (!order) return some;
  const [name, direction] = order.split("-");
  const sign = direction === "up" ? 1 : -1;
  const value = (card) => VALUES[name](entries[card.place]);
  return some.slice().sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (x - y);
  });
}

/** Shows what the fields ask for. */
function update() {
  listed = sorted(chosen(), fields.order.value);
  listed.forEach((card, place) => fill(card.element, { "aria-posinset": place + 1, "aria-setsize": listed.length }, []));
  byId("samples").replaceChildren(...listed.map((card) => card.element));
  byId("count").textContent = listed.length === cards.length ? `${cards.length} samples` : `${listed.length} of ${cards.length}`;
  byId("nothing").hidden = listed.length > 0;
  byId("reset").hidden = !narrowed();
  for (const field of Object.values(fields)) field.classList.toggle("set", field.value !== "");
  const some = listed.map((card) => entries[card.place]);
  histograms.forEach((plot) => plot.update(some));
  if (current && !listed.includes(current)) mark(null);
}

function narrowed() {
  return Object.values(fields).some((field) => field.value !== "") || histograms.some((plot) => plot.active);
}

function showAll() {
  for (const field of Object.values(fields)) field.value = "";
  histograms.forEach((plot) => plot.clear());
  update();
}

function mark(card) {
  current?.element.removeAttribute("aria-current");
  current = card;
  current?.element.setAttribute("aria-current", "true");
}

/** Makes a sample the current one and brings it to the screen. */
function goTo(card) {
  mark(card);
  fillCard(card);
  card.element.focus({ preventScroll: true });
  card.element.scrollIntoView({ block: "start" });
  history.replaceState(null, "", `#${card.element.id}`);
}

/** The next sample, or the one before. */
function step(by) {
  if (!listed.length) return;
  const place = current ? listed.indexOf(current) + by : 0;
  goTo(listed[Math.min(listed.length - 1, Math.max(0, place))]);
}

/** Samples are filled while they are near the screen. */
const watcher = new IntersectionObserver(
  (changes) => {
    for (const change of changes) (change.isIntersecting ? fillCard : emptyCard)(cardOf.get(change.target));
  },
  { rootMargin: "1200px 0px" },
);

function addOptions(select, prefix, values) {
  for (const value of values) select.append(html("option", { value: prefix + value }, value));
}

const distinct = (field) => [...new Set(entries.map((entry) => entry[field]).filter((value) => value !== null))].sort();
addOptions(fields.failure, "cause ", distinct("cause"));
addOptions(fields.kind, "", distinct("category"));
byId("kinds").hidden = distinct("category").length < 2;
byId("plots").append(...histograms.map((plot) => plot.element));
byId("map-scale").style.background = rampGradient();
