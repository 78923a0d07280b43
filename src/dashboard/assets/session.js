// Who is signed in. Tokens live in this tab alone and end with it. One may hold a coach's and an
// operator's at once; the page then offers both views.

const KEY = "calendar-integration.token.";
const VIEW = "calendar-integration.view";
const ROLES = { coach: "coach", admin: "operator" };

/** What a token says. Only the API checks tokens: this reads whom to ask for. */
function claims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

const of = (view) => sessionStorage.getItem(KEY + view);

/** Keeps a token for the view it is good for; answers which that is, or null. */
export function keep(token) {
  const view = ROLES[claims(token.trim()).role] ?? null;
  if (view) sessionStorage.setItem(KEY + view, token.trim());
  return view;
}

/** Takes tokens out of the address, where they must not stay: addresses are kept and shared. */
export function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).getAll("token");
  if (given.length === 0) return null;
  history.replaceState(null, "", location.pathname + location.search);
  const kept = given.map(keep).filter(Boolean);
  if (kept.length > 0) show(kept[0]);
  return kept;
}

export const views = () => Object.values(ROLES).filter(of);

export function view() {
  const chosen = sessionStorage.getItem(VIEW);
  return of(chosen) ? chosen : (views()[0] ?? null);
}

export function show(chosen) {
  sessionStorage.setItem(VIEW, chosen);
}

export const token = () => of(view());

export const coachId = () => claims(of("coach") ?? "").sub ?? null;

/** Ends the view that is open, or all of them. */
export function forget(which = views()) {
  for (const name of [which].flat()) sessionStorage.removeItem(KEY + name);
}
