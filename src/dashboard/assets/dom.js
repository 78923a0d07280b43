// Building and changing the page, as text only: nothing from the API is ever read as markup.

export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

// Unchanged text is left alone, so that screen readers do not repeat it at every poll.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

/**
 * Makes the children of `list` follow `items`, keeping the node of every item that stays: focus and
 * open menus survive a poll.
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

export function notice(text, kind) {
  const place = document.getElementById("notices");
  place.replaceChildren(...(text ? [element("p", { className: `notice ${kind}` }, text)] : []));
}
