// The picture that is asked about.

/** As the server keeps it: its number, size and reduced form; `null` before there is one. */
let picture = null;

/** Sends a file to the server and shows it. */
async function take(file) {
  if (!file) return;
  trouble("");
  byId("drop-text").textContent = `Reading ${file.name || "the picture"} …`;
  try {
    if (file.size > page.most) throw new Error(`expected a picture of at most ${page.most >> 20} MiB, found ${Math.ceil(file.size / 2 ** 20)} MiB`);
    picture = { name: file.name, ...(await call("POST", "pictures", file)) };
    clearPanels();
  } catch (error) {
    trouble(`${file.name || "The picture"}: ${error.message}`);
  }
  showPicture();
}

function showPicture() {
  const text = byId("drop-text");
  if (!picture) {
    text.replaceChildren(html("b", {}, "Drop a picture here"), html("br"), "or click to choose one, or paste it");
    return;
  }
  const shown = html("img", { src: picture.address, alt: "The picture" });
  text.replaceChildren(shown, `${picture.name || "picture"}, ${picture.width} × ${picture.height}`);
}

byId("drop").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", (event) => {
  take(event.target.files[0]);
  // So that the same file can be chosen again.
  event.target.value = "";
});

// A picture can be dropped anywhere.
const dropping = (on) => document.body.classList.toggle("dropping", on);
addEventListener("dragover", (event) => {
  event.preventDefault();
  dropping(true);
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) dropping(false);
});
addEventListener("drop", (event) => {
  event.preventDefault();
  dropping(false);
  const file = event.dataTransfer.files[0];
  if (file) take(file);
  else trouble("Drop a picture's file: this is none.");
});
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  if (file) take(file);
});
