// Words in their shades, and numbers as text.

/** The share of the way from --weak to --strong above which words are written in --on-strong. */
const STRONG = 0.6;

/** The words of an answer, shaded; the spaces before a word are not. Those with a map of their own are buttons for it. */
function answerWords(tokens, text, choice) {
  if (!tokens.length) return [text.trim()];
  const most = Math.max(1, ...tokens.map((token) => token.llr ?? 0));
  return tokens.flatMap((token, place) => {
    const share = Math.min(1, Math.max(0, (token.llr ?? 0) / most));
    const ink = token.text.trimStart();
    const spaces = place ? token.text.slice(0, token.text.length - ink.length) : "";
    const name = token.key ? "strong" : "span";
    const word = html(name, { class: share > STRONG ? "word most" : "word", title: tokenTitle(token) }, ink);
    word.style.setProperty("--v", share.toFixed(3));
    if (ink) choice?.adopt(word, place);
    return ink ? [spaces, word] : [spaces];
  });
}

/** Makes a node of a word a button that calls `press`; of `nodes`, those of the same word, the first takes the focus. */
function wordButton(node, nodes, label, press) {
  const first = !nodes.length;
  nodes.push(node);
  node.classList.add("own");
  if (first) fill(node, { role: "button", tabindex: 0, "aria-pressed": "false", "aria-label": label }, []);
  node.addEventListener("click", press);
  node.addEventListener("keydown", (event) => {
    if ((event.key !== "Enter" && event.key !== " ") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    press();
  });
}

/** Marks the words, each with its nodes, whose places are chosen. */
function markChosen(words, chosen) {
  words.forEach((nodes, at) => nodes.forEach((node) => {
    node.classList.toggle("chosen", chosen(at));
    if (node.hasAttribute("role")) node.setAttribute("aria-pressed", String(chosen(at)));
  }));
}

/** The scores of the curves. */
function scoresOf(entry) {
  const score = (name, value) => html("span", {}, name, html("b", {}, digits(value, 3)));
  return html("span", { class: "scores" }, score("deletion", entry.deletion), score("insertion", entry.insertion));
}

function tokenTitle(token) {
  return `log-ratio ${digits(token.llr, 2)} nats; probability ${digits(token.picture, 3)} with the picture, ${digits(token.baseline, 3)} without`;
}

function tokenTable(tokens) {
  const head = ["Word", "Log-ratio", "With picture", "Without", "Key"].map((name) => html("th", { scope: "col" }, name));
  const rows = tokens.map((t) => html("tr", {}, html("td", {}, JSON.stringify(t.text).slice(1, -1)), html("td", {}, digits(t.llr, 2)),
    html("td", {}, digits(t.picture, 3)), html("td", {}, digits(t.baseline, 3)), html("td", {}, t.key ? "key" : "")));
  return html("table", {}, html("thead", {}, html("tr", {}, ...head)), html("tbody", {}, ...rows));
}

/** A part that is made when it is opened. */
function folded(name, make) {
  const details = html("details", { class: "more" }, html("summary", {}, name));
  details.addEventListener("toggle", () => details.append(...make()), { once: true });
  return details;
}

function faithfulnessText(found) {
  if (!found.enough) return "The baseline alone keeps the answer: the map cannot be tested.";
  const share = (value) => `${digits(100 * value, 1)} %`;
  const p = (value) => `(p ${digits(value, 2)})`;
  const alone = found.kept ? "keeps the answer" : "does not keep the answer";
  const without = found.flipped ? "loses it" : "keeps it too";
  return `${share(found.fraction)} of the cells alone ${alone} ${p(found.revealed)}, the rest ${without} ${p(found.removed)}. `
    + `${share(found.enough)} is enough ${p(found.probability)}.`;
}
