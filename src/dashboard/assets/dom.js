// Building and changing the page, as text only: nothing from the API is ever read as markup.

/** A node with properties and children; `data`, `aria` and `on` are objects of their own. */
export function h(tag, { data, aria, on, role, ...properties } = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  Object.assign(node.dataset, data);
  for (const [name, value] of Object.entries(aria ?? {})) node.setAttribute(`aria-${name}`, value);
  for (const [name, listener] of Object.entries(on ?? {})) node.addEventListener(name, listener);
  if (role) node.setAttribute("role", role);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function button(text, listener, className = "") {
  return h("button", { type: "button", className, on: { click: listener } }, text);
}

// Unchanged text is left alone, so that screen readers do not repeat it at every look.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

/**
 * Makes the children of `list` follow `items`, keeping the node of every item that stays: focus and
 * what a person has opened survive.
 */
export function follow(list, nodes, items, keyOf, make) {
  const wanted = new Set(items.map(keyOf));
  for (const [key, entry] of nodes) {
    if (!wanted.has(key)) {
      entry.node.remove();
      nodes.delete(key);
    }
  }
  items.forEach((item, position) => {
    const key = keyOf(item);
    let entry = nodes.get(key);
    if (!entry) {
      entry = make(item);
      nodes.set(key, entry);
    }
    entry.update(item);
    if (list.children[position] !== entry.node) {
      list.insertBefore(entry.node, list.children[position] ?? null);
    }
  });
}

/** Disables the button while the work is under way; what goes wrong is told with `tell`. */
export async function busy(node, work, tell) {
  if (node.disabled) return;
  const hadFocus = document.activeElement === node;
  node.disabled = true;
  try {
    await work();
  } catch (problem) {
    tell(problem);
  } finally {
    node.disabled = false;
    // A disabled button loses the focus, and with it a keyboard loses its place.
    if (hadFocus && document.activeElement === document.body) node.focus();
  }
}
