// What keys do.

/** Whether a key means something to the element that has it already. */
function takesKeys(element, key) {
  if (key === "Escape") return false;
  if (element.matches("select, textarea, input:not([type=range], [type=checkbox], [type=file])")) return true;
  return element.matches("input[type=range]") && key.startsWith("Arrow");
}

/** Binds keys to functions, unless an element has the focus to which the key means something, or the dialog is open. */
function bindKeys(keys, dialog) {
  document.addEventListener("keydown", (event) => {
    if (dialog.open || event.ctrlKey || event.metaKey || event.altKey || !keys.has(event.key)) return;
    if (takesKeys(event.target, event.key)) return;
    event.preventDefault();
    if (event.key === "Escape" && event.target.matches("input, select, textarea")) event.target.blur();
    keys.get(event.key)();
  });
}
