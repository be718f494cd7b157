"use strict";
const GOLDEN = 137.5; // degrees between the colours of neighbours, so that no two of a few are alike
const element = (id) => document.getElementById(id);
const hues = new Map();
const typeOf = (label) => label.replace(/^[BIES]-/, "");

function marked(text, label) {
  const mark = document.createElement("mark");
  mark.style.setProperty("--hue", String((GOLDEN * (hues.get(label) ?? 0)) % 360));
  mark.append(text);
  return mark;
}

function spanOf(span) {
  const mark = marked(span.text, span.label), name = document.createElement("small");
  const score = span.score.toFixed(3);
  name.textContent = span.label;
  name.dataset.score = mark.dataset.score = score;
  mark.append(name);
  mark.tabIndex = 0;
  mark.title = `${span.label} ${score}`;
  mark.setAttribute("aria-label", `${span.text}: ${span.label}, score ${score}`);
  return mark;
}

function show(found) {
  const characters = Array.from(found.text); // offsets count code points, strings of JavaScript UTF-16 units
  const parts = [];
  let place = 0;
  for (const span of found.spans) {
    parts.push(characters.slice(place, span.start).join(""), spanOf(span));
    place = span.end;
  }
  element("result").replaceChildren(...parts, characters.slice(place).join(""));
  element("result").hidden = false;
}

function say(message, wrong = false) {
  element("status").textContent = message;
  element("status").className = wrong ? "error" : "";
}

async function label(event) {
  event.preventDefault();
  const button = element("form").querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  say("Labelling …");
  try {
    const options = { method: "POST", headers: { "Content-Type": "application/json" } };
    const answer = await fetch("v1/tag", { ...options, body: JSON.stringify({ texts: element("text").value }) });
    const found = await answer.json();
    if (answer.ok) {
      const count = found.results[0].spans.length;
      show(found.results[0]);
      say(`${count} ${count === 1 ? "span" : "spans"}. Scores show when a span is pointed at or focused.`);
    } else {
      say([found.error.message, found.error.hint].filter(Boolean).join(". "), true);
    }
  } catch {
    say("The service does not answer.", true);
  }
  button.disabled = false;
}

async function about() {
  const model = await (await fetch("v1/model")).json();
  const types = [...new Set(model.labels.filter((label) => label !== "O").map(typeOf))];
  types.forEach((type, number) => hues.set(type, number));
  element("about").textContent = `A student of tagdistill ${model.version}: ${model.task}.`;
  element("legend").replaceChildren(...types.map((type) => {
    const item = document.createElement("li");
    item.append(marked(type, type));
    return item;
  }));
}

element("form").addEventListener("submit", label);
element("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) label(event);
});
about().catch(() => say("The service does not answer.", true));
