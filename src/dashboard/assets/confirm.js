// A question that is answered before something is done.

import { h } from "./dom.js";

/** Resolves to whether the answer was yes. Escape is no, and so is what has the focus first. */
export function ask({ title, lines, yes, no, isDangerous = false }) {
  const dialog = h(
    "dialog",
    {
      className: "confirm",
      aria: { labelledby: "confirm-title", describedby: "confirm-text" },
      role: "alertdialog",
    },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "confirm-title" }, title),
      h("div", { id: "confirm-text" }, ...lines.map((line) => h("p", {}, line))),
      h(
        "div",
        { className: "buttons end" },
        h("button", { value: "no", autofocus: true }, no),
        h("button", { value: "yes", className: isDangerous ? "danger" : "main" }, yes),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
  });
}
