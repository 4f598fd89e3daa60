// What the reader does.

const dialog = byId("keys");
const settings = [new Settings("Settings"), new Settings("Other settings")];
let panels = [];

function trouble(message) {
  byId("trouble").textContent = message;
}

function clearPanels() {
  panels.forEach((panel) => panel.stop());
  panels = [];
  update();
}

/** Shows what is there, and what can be done. */
function update() {
  const busy = panels.some((panel) => panel.busy);
  byId("cancel").hidden = !busy;
  byId("nothing").hidden = panels.length > 0;
  control.element.hidden = !panels.length;
  byId("panels").classList.toggle("two", panels.length > 1);
  const elements = panels.map((panel) => panel.element);
  // Moving elements would take the focus from them.
  if (elements.length !== byId("panels").children.length || elements.some((element) => !element.isConnected)) byId("panels").replaceChildren(...elements);
}

function ask() {
  trouble("");
  const question = byId("question").value.trim();
  if (!picture) return trouble("Choose a picture first.");
  if (!question) {
    byId("question").focus();
    return trouble("Type a question first.");
  }
  panels.forEach((panel) => panel.stop());
  const compared = byId("compare").checked;
  const answer = byId("answer").value || null;
  panels = settings.slice(0, compared ? 2 : 1).map((chosen, at) => {
    const request = { picture: picture.picture, question, answer, settings: chosen.values() };
    const name = compared ? ["Settings", "Other settings"][at] : "";
    return new Panel(name, request, picture, update);
  });
  if (compared) [panels[0].twin, panels[1].twin] = [panels[1], panels[0]];
  update();
  panels.forEach((panel) => panel.ask(null));
}

function cancel() {
  if (panels.some((panel) => panel.busy)) panels.forEach((panel) => panel.cancel());
  else panels.forEach((panel) => panel.selected.size && panel.choose([], 0));
}

function compare(on) {
  byId("compare").checked = on;
  byId("others").hidden = !on;
}

const control = slider({ show: (position) => panels.forEach((panel) => panel.overlay.show(position)) }, "Picture to map");
view.shown.add(control.show);
byId("results").prepend(control.element);
control.show(view.position);
byId("settings").append(settings[0].element);
byId("others").append(settings[1].element);
byId("map-scale").style.background = rampGradient();

bindKeys(new Map([
  ["o", () => byId("file").click()],
  ["/", () => byId("question").focus()],
  ["1", () => turn(0)],
  ["2", () => turn(0.5)],
  ["3", () => turn(1)],
  ["w", () => panels.forEach((panel) => panel.next())],
  ["c", () => compare(!byId("compare").checked)],
  ["s", () => panels.forEach((panel) => panel.save())],
  ["?", () => dialog.showModal()],
  ["Escape", cancel],
]), dialog);
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
byId("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
byId("cancel").addEventListener("click", cancel);
byId("help").addEventListener("click", () => dialog.showModal());
byId("compare").addEventListener("change", (event) => compare(event.target.checked));
// Nobody waits any more for what is in work.
addEventListener("pagehide", () => panels.forEach((panel) => panel.stop()));
compare(byId("compare").checked);
showPicture();
update();
