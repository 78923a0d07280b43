// Who is signed in. The token lives in this tab alone and ends with it.

const KEY = "calendar-integration.token";

/** Takes a token out of the address, where it must not stay: addresses are kept and shared. */
export function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return false;
  history.replaceState(null, "", location.pathname + location.search);
  keep(given);
  return true;
}

export function keep(token) {
  sessionStorage.setItem(KEY, token.trim());
}

export function forget() {
  sessionStorage.removeItem(KEY);
}

export function token() {
  return sessionStorage.getItem(KEY);
}

/**
 * The coach that the token names; null if it names none. Only the API checks tokens: this reads
 * whom to ask for.
 */
export function coachId() {
  try {
    const part = token().split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return claims.role === "coach" ? claims.sub : null;
  } catch {
    return null;
  }
}
