// An answer under one choice of settings: its words, its map, and the maps of words that are chosen.

/** The greatest height of a picture, in pixels of the page. */
const TALLEST = 560;
/** How long one may go on choosing words before their map is made, in milliseconds. */
const CHOOSING = 350;

const STAGES = {
  waiting: "waiting for its turn", prepare: "preparing", answer: "answering", select: "which words depend on the picture",
  optimise: "finding the map", curves: "deletion and insertion", faithfulness: "testing the map", each: "maps of the words",
};

class Panel {
  /** `changed` is called when work begins or ends. */
  constructor(name, request, picture, changed) {
    Object.assign(this, { name, request, changed });
    /** What was found, by the tokens that it is the map of. */
    this.found = new Map();
    this.words = [];
    this.nodes = [];
    /** Places of the words that are chosen. */
    this.selected = new Set();
    this.run = null;
    this.shown = null;
    /** The panel of the same question beside it. */
    this.twin = null;
    this.overlay = new Overlay({ picture: picture.address, map: null, width: picture.width, height: picture.height });
    this.overlay.position = view.position;
    fill(this.overlay.canvas, { role: "img", "aria-label": "Picture and map" }, []);
    const frame = frameOf(this.overlay.canvas, null, picture.width, picture.height, TALLEST);
    this.note = html("p", { class: "below", "aria-live": "polite" });
    this.head = html("header");
    this.answer = html("p", { class: "answer" });
    this.about = html("div", { class: "about" });
    this.bar = html("progress");
    this.stage = html("span", { "aria-live": "polite" });
    this.working = html("div", { class: "working" }, this.stage, this.bar);
    this.message = html("p", { class: "message", role: "alert", hidden: "" });
    this.answered = html("div", { hidden: "" }, html("h4", {}, "Answer"), this.answer);
    this.text = html("div", { class: "text" }, this.answered, this.working, this.message, this.about);
    this.curves = html("figure", { class: "curves" });
    this.element = html("article", { class: "card panel", "aria-label": name || "Answer" }, this.head,
      html("figure", { class: "picture" }, frame, this.note), this.text, this.curves);
    this.heading(null);
    this.overlay.ready.catch(() => this.trouble("The picture cannot be shown."));
  }

  /** Asks for the map of some tokens, or with `null` of the key tokens. */
  async ask(keys) {
    this.stop();
    const run = { job: null, close: () => {} };
    this.run = run;
    this.message.hidden = true;
    this.tell({ stage: "waiting" });
    this.changed();
    const mine = (what) => (data) => { if (this.run === run) what(data); };
    try {
      const { job } = await call("POST", "jobs", JSON.stringify({ ...this.request, keys }));
      if (this.run !== run) return cancelJob(job);
      run.job = job;
      run.close = follow(job, {
        progress: mine((data) => this.tell(data)),
        answer: mine((data) => keys || this.spell(data, false)),
        map: mine((data) => this.early(data.map)),
        end: mine((data) => this.end(keys, job, data)),
      });
    } catch (error) {
      if (this.run === run) this.end(keys, null, { error: error.message });
    }
  }

  get busy() {
    return this.run !== null;
  }

  /** Ends what is in work, without a result. */
  stop() {
    if (!this.run) return;
    this.run.close();
    if (this.run.job !== null) cancelJob(this.run.job);
    this.run = null;
    this.working.hidden = true;
  }

  /** What the reader does to end it. */
  cancel() {
    if (!this.busy) return;
    this.stop();
    this.back("Cancelled.");
    this.changed();
  }

  end(keys, job, data) {
    this.run = null;
    this.working.hidden = true;
    if (data.error || data.cancelled) {
      this.back(data.error || "Cancelled.");
    } else {
      const found = { ...data, job };
      this.found.set(String(keys), found);
      if (!keys) {
        this.spell({ tokens: data.detail.tokens, words: data.words }, true);
        for (const unit of data.detail.each ?? []) {
          const own = { map: unit.map, curves: null, undefined: null, faithfulness: null };
          this.found.set(String(unit.tokens), { ...found, detail: { ...data.detail, ...own } });
        }
        const keyed = data.detail.tokens.flatMap((token, at) => (token.key ? [at] : []));
        if (keyed.length) this.found.set(String(keyed), found);
      }
      this.show(found);
    }
    this.changed();
  }

  /** Says why there is nothing new, and shows what there was before. */
  back(message) {
    this.choose([]);
    this.trouble(message);
    const whole = this.found.get("null");
    if (whole) this.show(whole);
    else this.note.textContent = this.overlay.map ? "A first map, which was not improved" : "";
  }

  trouble(message) {
    this.message.textContent = message;
    this.message.hidden = false;
  }

  tell({ stage, done, total }) {
    this.working.hidden = false;
    const count = total ? ` ${done} of ${total}` : done ? ` ${done}` : "";
    this.stage.textContent = `${STAGES[stage] ?? stage}${count}`;
    if (total) fill(this.bar, { max: total, value: Math.min(done, total) }, []);
    else this.bar.removeAttribute("value");
  }

  /** Writes the answer; its words are buttons once it is `finished`. */
  spell({ tokens, words }, finished) {
    this.words = words;
    this.texts = JSON.stringify(tokens.map((token) => token.text));
    this.nodes = words.map(() => []);
    this.answered.hidden = false;
    this.answer.replaceChildren(...answerWords(tokens, "", finished ? this : null));
  }

  /** Makes the word of a token a button; one node of a word takes the focus. */
  adopt(node, token) {
    const at = this.words.findIndex((word) => word.tokens.includes(token));
    if (at < 0) return;
    wordButton(node, this.nodes[at], null, () => this.toggle(at));
  }

  toggle(at) {
    const chosen = new Set(this.selected);
    if (!chosen.delete(at)) chosen.add(at);
    this.choose(chosen, CHOOSING);
    if (this.twin && this.twin.texts === this.texts && this.twin.found.has("null")) this.twin.choose(chosen, CHOOSING);
  }

  /** The next word with key tokens alone; after the last one, the whole answer. */
  next() {
    const keyed = this.nodes.flatMap((nodes, at) => (nodes.some((node) => node.matches("strong")) ? [at] : []));
    const [now] = this.selected;
    const at = keyed[now === undefined ? 0 : keyed.indexOf(now) + 1];
    this.choose(at === undefined ? [] : [at], CHOOSING);
  }

  /** Marks words as chosen, and shows their map after so many milliseconds, if that is given. */
  choose(places, wait) {
    this.selected = new Set(places);
    markChosen(this.nodes, (at) => this.selected.has(at));
    clearTimeout(this.timer);
    if (wait !== undefined) this.timer = setTimeout(() => this.look(), wait);
  }

  /** Shows the map of the chosen words, or asks for it. */
  look() {
    const keys = [...this.selected].flatMap((at) => this.words[at].keys).sort((a, b) => a - b);
    const found = this.found.get(String(keys.length ? keys : null));
    if (!found) return this.ask(keys);
    this.message.hidden = true;
    this.stop();
    this.changed();
    this.show(found);
  }

  /** Shows a map that is not the last. */
  early(map) {
    this.overlay.turnTo(map);
    this.note.textContent = "A first map; it is being improved";
  }

  show(found) {
    this.shown = found;
    const { detail, entry } = found;
    this.overlay.turnTo(detail.map);
    const words = [...this.selected].sort((a, b) => a - b).map((at) => this.nodes[at].map((node) => node.textContent).join(""));
    this.note.textContent = !detail.map ? "No map: no word of the answer depends on the picture"
      : words.length ? `Map of \u201c${words.join(" ")}\u201d alone` : "Map of the whole answer";
    this.heading(found);
    const part = (name, ...children) => html("div", {}, html("h4", {}, name), ...children);
    const without = found.baseline_answer;
    this.about.replaceChildren(
      ...(typeof without === "string" ? [part("Answer to the baseline alone", html("p", {}, without.trim() || "\u2013"))] : []),
      ...(detail.faithfulness ? [part("The map\u2019s most salient part", html("p", {}, faithfulnessText(detail.faithfulness)))] : []),
      folded("Words in numbers", () => [tokenTable(detail.tokens)]),
      html("p", { class: "fine" }, `${detail.evaluations} evaluations in ${digits(found.seconds, 1)} s, seed ${detail.seed}`),
      ...(page.saves ? [this.saving()] : []));
    this.curves.replaceChildren(...(detail.curves ? [...curvesFigure(detail, entry).childNodes] : []));
  }

  heading(found) {
    const tag = found && !found.entry.image_dependent ? html("span", { class: "tag warn" }, "does not need the picture") : null;
    const scores = found?.detail.curves ? scoresOf(found.entry) : null;
    this.head.replaceChildren(...[this.name ? html("h3", {}, this.name) : null, tag, scores].filter(Boolean));
    this.head.hidden = !this.head.children.length;
  }

  saving() {
    this.saved = html("span", { "aria-live": "polite" });
    const save = html("button", { type: "button" }, "Save");
    save.addEventListener("click", () => this.save());
    return html("p", { class: "saving" }, save, this.saved);
  }

  async save() {
    if (!page.saves || !this.shown) return;
    try {
      const { folder } = await call("POST", `jobs/${this.shown.job}/files`);
      this.saved.textContent = `saved in ${folder}`;
    } catch (error) {
      this.trouble(error.message);
    }
  }
}
