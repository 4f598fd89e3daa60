// The slider from a picture to its map.

const view = { position: 0.5, shown: new Set() };

/** A slider that moves `overlay`, with a name for readers who do not see it. */
function slider(overlay, name) {
  const input = html("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": name });
  input.addEventListener("input", () => turn(input.value / 100));
  const show = (position) => {
    input.value = Math.round(position * 100);
    input.setAttribute("aria-valuetext", position <= 0 ? "picture" : position >= 1 ? "map" : `${Math.round(position * 100)} % towards the map`);
    overlay.show(position);
  };
  return { element: html("label", { class: "slider" }, html("span", {}, "picture"), input, html("span", {}, "map")), show };
}

/** Moves the sliders of all samples. */
function turn(position) {
  view.position = Math.min(1, Math.max(0, position));
  for (const shown of view.shown) shown(view.position);
}
