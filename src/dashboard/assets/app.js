// The page as a whole: signing in, polling, connecting.

import * as api from "./api.js";
import * as appointments from "./appointments.js";
import * as connections from "./connections.js";
import { notice } from "./dom.js";
import * as session from "./session.js";
import { callbackOutcome, problemText } from "./words.js";

const POLL_MS = 2000;

const page = {
  signIn: document.getElementById("sign-in"),
  content: document.getElementById("content"),
  signOut: document.getElementById("sign-out"),
};
let timer = 0;
let refreshing = null;
let unreachable = false;

function showSignIn(text) {
  clearTimeout(timer);
  connections.clear();
  appointments.clear();
  page.content.hidden = true;
  page.signOut.hidden = true;
  page.signIn.hidden = false;
  if (text) notice(text, "bad");
}

function begin() {
  if (!session.token()) {
    showSignIn();
  } else if (!session.coachId()) {
    session.forget();
    showSignIn("This is no token of a coach.");
  } else {
    page.signIn.hidden = true;
    page.content.hidden = false;
    page.signOut.hidden = false;
    refreshAll();
  }
}

/** Reads everything anew, now; the next poll follows when it is done. */
function refreshAll() {
  refreshing ??= read().finally(() => {
    refreshing = null;
    clearTimeout(timer);
    if (session.token()) timer = setTimeout(refreshAll, POLL_MS);
  });
  return refreshing;
}

async function read() {
  const coach = session.coachId();
  if (!coach) return;
  try {
    const known = await connections.refresh(coach, connect, refreshAll);
    // Nobody sees a hidden page; its appointments can wait.
    if (!document.hidden) await appointments.refresh(coach, known);
    if (unreachable) notice("");
    unreachable = false;
  } catch (problem) {
    if (problem.status === 401) {
      session.forget();
      showSignIn("Your sign-in has ended. Please open the page from your booking platform again.");
      return;
    }
    unreachable = true;
    notice(problemText(problem), "bad");
  }
}

async function connect(provider) {
  try {
    const { authorization_url: address } = await api.beginConnect(provider, session.coachId());
    location.assign(address);
  } catch (problem) {
    notice(problemText(problem), "bad");
  }
}

/** Tells how a sign-in at a provider ended, once: the address is cleaned of it. */
function tellOutcome() {
  const query = new URLSearchParams(location.search);
  const outcome = callbackOutcome(query);
  if (!outcome) return;
  notice(outcome.text, outcome.kind);
  for (const name of ["success", "error", "provider", "connection_id"]) query.delete(name);
  const rest = query.size > 0 ? `?${query}` : "";
  history.replaceState(null, "", location.pathname + rest + location.hash);
}

for (const button of document.querySelectorAll("[data-connect]")) {
  button.addEventListener("click", () => connect(button.dataset.connect));
}
page.signOut.addEventListener("click", () => {
  session.forget();
  notice("");
  showSignIn();
});
document.getElementById("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("token");
  session.keep(field.value);
  field.value = "";
  notice("");
  begin();
});
addEventListener("hashchange", () => session.takeFromAddress() && begin());

tellOutcome();
session.takeFromAddress();
begin();
