// The page as a whole: who is signed in, and which view is open.

import { h, setText } from "./dom.js";
import { notice } from "./notices.js";
import * as session from "./session.js";
import { T } from "./texts.js";

// The operator's view is fetched only by those who open it.
const VIEWS = {
  coach: () => import("./coach.js"),
  operator: () => import("./operator.js"),
};

const main = document.getElementById("main");
const viewSwitch = document.getElementById("views");
const signOut = document.getElementById("sign-out");
let end = () => {};
let turn = 0;

async function begin() {
  end();
  end = () => {};
  const mine = ++turn;
  const view = session.view();
  showHeader(view);
  if (!view) return showSignIn();
  const opened = await VIEWS[view]();
  if (mine !== turn) return;
  if (view === "coach") opened.tellOutcome();
  end = opened.open(main, () => {
    session.forget(view);
    begin();
    notice(T.signIn.ended, "bad");
  });
  // For those who measure.
  performance.mark("interactive");
}

function showHeader(view) {
  const all = session.views();
  signOut.hidden = !view;
  viewSwitch.hidden = all.length < 2;
  viewSwitch.replaceChildren(
    ...all.map((name) =>
      h(
        "button",
        {
          type: "button",
          aria: { pressed: String(name === view) },
          on: {
            click: () => {
              session.show(name);
              notice("");
              begin();
            },
          },
        },
        T.views[name],
      ),
    ),
  );
}

function showSignIn() {
  const token = h("textarea", {
    id: "token",
    rows: 4,
    required: true,
    autocomplete: "off",
    spellcheck: false,
  });
  const submit = (event) => {
    event.preventDefault();
    const view = session.keep(token.value);
    notice(view ? "" : T.signIn.wrong, "bad");
    if (view) (session.show(view), begin());
  };
  main.replaceChildren(
    h(
      "section",
      { className: "panel narrow", aria: { labelledby: "sign-in-title" } },
      h("h2", { id: "sign-in-title" }, T.signIn.title),
      h("p", {}, T.signIn.how),
      h(
        "form",
        { on: { submit } },
        h("label", { htmlFor: "token" }, T.signIn.token),
        token,
        h(
          "div",
          { className: "buttons" },
          h("button", { type: "submit", className: "main" }, T.signIn.submit),
        ),
      ),
    ),
  );
}

function useToken() {
  const kept = session.takeFromAddress();
  if (kept?.length === 0) notice(T.signIn.wrong, "bad");
  return kept !== null;
}

for (const [id, text] of [
  ["skip", T.skip],
  ["title", T.title],
  ["sign-out", T.signOut],
]) {
  setText(document.getElementById(id), text);
}
viewSwitch.setAttribute("aria-label", T.views.label);
document.title = T.title;
signOut.addEventListener("click", () => {
  session.forget();
  notice("");
  begin();
});
addEventListener("hashchange", () => useToken() && begin());

useToken();
begin();
