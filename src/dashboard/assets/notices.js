// What the page as a whole has to say; read out to those who listen.

import { button, h } from "./dom.js";
import { T } from "./texts.js";

const place = () => document.getElementById("notices");

export function notice(text, kind, action) {
  if (!text) return place().replaceChildren();
  place().replaceChildren(
    h(
      "div",
      { className: `notice ${kind}` },
      h("p", {}, text),
      action ? button(action.text, action.run) : null,
      h(
        "button",
        {
          type: "button",
          className: "plain close",
          aria: { label: T.close },
          on: { click: () => notice("") },
        },
        "×",
      ),
    ),
  );
}
