// The settings of a question: the command's options.

/** The options in front, and what they are called here; the others are folded away under their own names. */
const FRONT = new Map([
  ["quality", "Quality"],
  ["method", "Method"],
  ["mask-size", "Cells per side"],
  ["baseline", "Baseline"],
  ["steps", "Steps"],
  ["iterations", "Iterations"],
  ["each", "Maps of words"],
  ["no-curves", "No curves"],
]);
/** Of these only one can be given. */
const ONE_OF = ["quality", "method", "preset"];

/** The fields for one choice of settings. */
class Settings {
  constructor(name) {
    this.fields = new Map();
    this.summary = html("p", { class: "summary" });
    const options = new Map(page.options.map((option) => [option.name, option]));
    const front = [...FRONT].filter(([option]) => options.has(option)).map(([option, label]) => this.field(options.get(option), label));
    const rest = page.options.filter((option) => !FRONT.has(option.name)).map((option) => this.field(option, option.name));
    front.splice(2, 0, this.summary);
    this.element = html("fieldset", {}, html("legend", {}, name), html("div", { class: "settings" }, ...front),
      html("details", {}, html("summary", {}, "More settings"), html("div", { class: "settings" }, ...rest)));
    this.element.addEventListener("change", () => this.changed());
    this.changed();
  }

  field(option, label) {
    const make = option.values.length ? this.select : option.switch ? this.box : this.text;
    const input = make(option);
    this.fields.set(option.name, input);
    const box = input.type === "checkbox";
    return html("label", { class: box ? "check" : "field", title: option.help }, ...(box ? [input, label] : [label, input]));
  }

  select(option) {
    const none = option.switch ? "none" : option.default ? `${option.default} (default)` : "default";
    const others = option.values.filter((value) => value.name !== option.default);
    const choices = others.map((value) => html("option", { value: value.name, title: value.help }, value.name));
    return html("select", {}, html("option", { value: "" }, none), ...choices);
  }

  box() {
    return html("input", { type: "checkbox" });
  }

  text(option) {
    return html("input", { autocomplete: "off", spellcheck: "false", placeholder: option.default ?? "default" });
  }

  changed() {
    const given = ONE_OF.find((name) => this.fields.get(name)?.value);
    for (const name of ONE_OF) {
      const field = this.fields.get(name);
      if (field) field.disabled = given !== undefined && given !== name;
    }
    const option = page.options.find((one) => one.name === (given ?? "method"));
    const chosen = option?.values.find((value) => value.name === (given ? this.fields.get(given).value : "fovea"));
    this.summary.textContent = chosen?.help ?? "";
  }

  /** What is not left at its default, by name. */
  values() {
    const given = [...this.fields].map(([name, input]) => [name, input.type === "checkbox" ? input.checked : input.value.trim()]);
    return Object.fromEntries(given.filter(([, value]) => value));
  }
}
