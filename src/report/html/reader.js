// What the reader does.

const dialog = byId("keys");
function toSearch() {
  fields.search.focus();
  fields.search.select();
}

const KEYS = new Map([
  ["j", () => step(1)],
  ["ArrowRight", () => step(1)],
  ["k", () => step(-1)],
  ["ArrowLeft", () => step(-1)],
  ["1", () => turn(0)],
  ["2", () => turn(0.5)],
  ["3", () => turn(1)],
  ["w", () => current?.choice?.next()],
  ["b", () => document.body.classList.toggle("no-boxes")],
  ["/", toSearch],
  ["?", () => dialog.showModal()],
  ["Escape", showAll],
]);

bindKeys(KEYS, dialog);

byId("help").addEventListener("click", () => dialog.showModal());
byId("reset").addEventListener("click", showAll);
byId("bar").addEventListener("submit", (event) => event.preventDefault());
fields.search.addEventListener("input", update);
for (const field of Object.values(fields)) field.addEventListener("change", update);
byId("samples").addEventListener("focusin", (event) => {
  const card = cardOf.get(event.target.closest(".card"));
  if (card && card !== current) mark(card);
});

/** What is brought to the screen must not lie below the bar, where that stays on top. */
function clearBar() {
  const bar = byId("bar");
  const covered = getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0;
  document.documentElement.style.scrollPaddingTop = `${covered + 10}px`;
}

clearBar();
new ResizeObserver(clearBar).observe(byId("bar"));
showAll();
cards.forEach((card) => watcher.observe(card.element));

/** Goes to the sample that the page's address ends in, if it does. */
function followAddress() {
  const asked = cards.find((card) => `#${card.element.id}` === location.hash);
  if (!asked) return;
  if (!listed.includes(asked)) showAll();
  goTo(asked);
}

// The browser would go back to where the page was left.
if (location.hash) history.scrollRestoration = "manual";
addEventListener("hashchange", followAddress);
followAddress();
