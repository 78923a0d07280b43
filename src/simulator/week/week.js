"use strict";
// Redraws only what changed, so that an event that moved is seen moving.
const fill = (element, block) => {
  const title = document.createElement("b");
  title.textContent = block.title;
  const rest = [block.hours, block.place, block.guests].flatMap((text, index) =>
    index ? [document.createElement("br"), text] : [text]);
  element.replaceChildren(title, ...rest);
  element.classList.toggle("foreign", block.foreign);
  element.style.top = `${block.from / 14.4}%`;
  element.style.height = `${(block.to - block.from) / 14.4}%`;
  element.style.left = `${block.lane * 100 / block.lanes}%`;
  element.style.width = `${100 / block.lanes}%`;
};

const refresh = (sheet) => {
  const section = [...document.querySelectorAll("section")].find((s) => s.dataset.key === sheet.key);
  if (!section) { location.reload(); return; }
  const days = section.querySelectorAll(".day");
  const known = new Map([...section.querySelectorAll(".event")].map((e) => [e.dataset.key, e]));
  for (const block of sheet.blocks) {
    let element = known.get(block.key);
    if (!element) {
      element = document.createElement("div");
      element.className = `event ${sheet.provider}`;
      element.dataset.key = block.key;
      days[block.day].append(element);
    }
    known.delete(block.key);
    fill(element, block);
  }
  for (const gone of known.values()) {
    gone.classList.add("leaving");
    setTimeout(() => gone.remove(), 500);
  }
};

const poll = async () => {
  try {
    const answer = await fetch(`/week.json${location.search}`);
    if (answer.ok) (await answer.json()).forEach(refresh);
  } catch { /* The simulator is away; try again. */ }
  setTimeout(poll, 1000);
};
poll();
