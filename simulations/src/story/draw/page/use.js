// Mouse, keyboard, search, the address.

const tip = document.getElementById("tip"), side = document.getElementById("side");
const search = document.getElementById("search"), found = document.getElementById("found");
const legend = document.getElementById("legend");
// The closest look: a tenth of a millisecond over the whole width would show nothing more.
const SPAN_LEAST = 2;
// Matches that are marked; more would only paint everything.
const HITS_MOST = 5000;
// Happenings in the list at the side.
const LISTED = 160;

function show(from, to) {
  const span = Math.min(Math.max(to - from, SPAN_LEAST), END);
  view.from = Math.min(Math.max(0, from), END - span);
  view.to = view.from + span;
  remember();
  paint();
}

let remembering = 0;
function remember() {
  clearTimeout(remembering);
  // Browsers refuse an address that changes with every frame.
  remembering = setTimeout(() => {
    const scheme = document.documentElement.classList.contains("dark") ? "dark" : "light";
    const t = view.from === 0 && view.to === END ? "" : "t=" + (view.from / 1000).toFixed(4) + "," + (view.to / 1000).toFixed(4);
    history.replaceState(null, "", "#" + [t, chosenScheme && "scheme=" + scheme].filter(Boolean).join("&"));
  }, 250);
}

let chosenScheme = false;
function scheme(dark) {
  document.documentElement.classList.toggle("dark", dark);
  readColours();
  paint();
}

function fromAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const system = matchMedia("(prefers-color-scheme: dark)");
  chosenScheme = wanted.has("scheme");
  scheme(chosenScheme ? wanted.get("scheme") === "dark" : system.matches);
  const [from, to] = (wanted.get("t") || "").split(",").map(part => parseFloat(part) * 1000);
  if (from < to) show(from, to); else show(0, END);
}

function zoom(factor, centre) {
  const span = Math.min(Math.max((view.to - view.from) * factor, SPAN_LEAST), END);
  const part = (centre - view.from) / (view.to - view.from);
  show(centre - part * span, centre + (1 - part) * span);
}

function goTo(time, span = Math.min(view.to - view.from, 4000)) {
  show(time - span * 0.5, time + span * 0.5);
  view.cursor = time;
}

// What is under the mouse: { text, at, lane, n }.
function under(x, y) {
  const time = timeOf(x), near = 6 / scale();
  const row = rows.find(row => y >= row.top && y <= row.bottom);
  for (const v of data.violations) if (Math.abs(v.at - time) < near) return { at: v.at, text: v.id + " broken\n" + v.text };
  if (row) {
    const nearest = list => {
      let best = -1;
      for (let k = lower(list, time - near, n => m.at[n]); k < list.length && m.at[list[k]] <= time + near; k++)
        if (best < 0 || Math.abs(m.at[list[k]] - time) < Math.abs(m.at[best] - time)) best = list[k];
      return best;
    };
    let n = -1;
    if (row.marks !== undefined && y >= row.marks && y < row.marks + MARKS) n = nearest(row.lane.marks);
    else if (row.logs !== undefined && y >= row.logs - 1 && y < row.logs + LOGS) n = nearest(row.lane.logs);
    if (n >= 0) return { at: m.at[n], n, text: say(m, n) };
    const band = row.band !== undefined && y >= row.band && y < row.band + BAND && stateAt(row.lane.leader, time);
    const keys = row.keys !== undefined && y >= row.keys && y < row.keys + KEYROW && stateAt(row.lane.keys, time);
    const leaves = row.graph !== undefined && y >= row.graph && y < row.graph + GRAPH && stateAt(row.lane.ledger, time);
    const state = band || keys || leaves;
    if (state) return { at: state.at, n: state.n, text: say(m, state.n) + "\nfrom " + seconds(state.at) + " to " + seconds(state.to) };
  }
  const message = messageUnder(x, y);
  if (message >= 0) return { at: m.at[message], n: message, text: say(m, message) };
  const fault = row ? data.faults.findIndex(f => f.lanes.includes(row.index) && f.from - near <= time && time <= f.to + near) : -1;
  if (fault >= 0) return { at: data.faults[fault].from, fault, text: data.faults[fault].text };
  const down = row && row.lane.down.find(part => part.at <= time && time <= part.to);
  return down ? { at: down.at, n: down.n, text: "down: " + say(m, down.n) } : null;
}

// The message whose line is closest, where lines are drawn one by one.
function messageUnder(x, y) {
  if (!view.single) return -1;
  let best = -1, least = 5;
  visibleMessages(n => {
    if (m.arrives[n] < 0) return;
    const y0 = rows[m.lane[n]].line, y1 = rows[m.a[n]].line;
    if (y < Math.min(y0, y1) - 3 || y > Math.max(y0, y1) + 3) return;
    const part = y1 === y0 ? 0 : (y - y0) / (y1 - y0);
    const away = Math.abs(xOf(m.at[n]) + part * (xOf(m.arrives[n]) - xOf(m.at[n])) - x);
    if (away < least) { least = away; best = n; }
  });
  return best;
}

// What happened around a time, in one lane or (outside of lanes) in all; messages only from close by.
function list(time, lane) {
  const here = lower(m.at, time), chosen = [];
  const take = n => { if (lane < 0 || m.lane[n] === lane || m.kind[n] === SENT && m.a[n] === lane) chosen.push(n); };
  for (let n = here - 1; n >= 0 && chosen.length < LISTED / 2; n--) take(n);
  chosen.reverse();
  for (let n = here; n < m.count && chosen.length < LISTED; n++) take(n);
  document.getElementById("side-title").textContent = (lane < 0 ? "All lanes" : laneName(m.lanes[lane])) + " around " + seconds(time);
  const closest = chosen.reduce((best, n) => Math.abs(m.at[n] - time) < Math.abs(m.at[best] - time) ? n : best, chosen[0]);
  const items = chosen.map(n => {
    const item = document.createElement("li"), when = document.createElement("time");
    when.textContent = seconds(m.at[n]);
    // Words of a run are text, never markup.
    item.append(when, (lane < 0 && m.kind[n] !== SENT ? laneName(m.lanes[m.lane[n]]) + ": " : "") + say(m, n));
    item.style.borderColor = colours[KIND_NAMES[m.kind[n]]] || "";
    if (n === closest) item.className = "here";
    item.onclick = () => goTo(m.at[n], view.to - view.from);
    return item;
  });
  document.getElementById("list").replaceChildren(...items);
  side.hidden = false;
  paint();
  document.querySelector("#list .here")?.scrollIntoView({ block: "center" });
}

let drag = null;
chart.addEventListener("pointerdown", event => {
  drag = { x: event.offsetX, from: view.from, to: view.to, moved: false };
  chart.setPointerCapture(event.pointerId);
  tip.hidden = true;
});
chart.addEventListener("pointermove", event => {
  if (drag) {
    const by = event.offsetX - drag.x;
    if (Math.abs(by) > 3) { drag.moved = true; chart.classList.add("drag"); }
    if (drag.moved) show(drag.from - by / scale(), drag.to - by / scale());
    return;
  }
  view.cursor = event.offsetX > LEFT ? Math.max(0, Math.min(END, timeOf(event.offsetX))) : null;
  const what = event.offsetX > LEFT ? under(event.offsetX, event.offsetY) : null;
  view.fault = what ? what.fault : undefined;
  tip.hidden = !what;
  if (what) {
    tip.textContent = seconds(what.at) + "  " + what.text;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 16, innerHeight - box.height - 8)) + "px";
  }
  paint();
});
chart.addEventListener("pointerup", event => {
  const still = drag && !drag.moved;
  drag = null;
  chart.classList.remove("drag");
  if (!still) return;
  const what = under(event.offsetX, event.offsetY);
  const row = rows.find(row => event.offsetY >= row.top && event.offsetY <= row.bottom);
  const time = what ? what.at : timeOf(event.offsetX);
  list(time, row && row.index > 0 ? row.index : -1);
});
chart.addEventListener("pointerleave", () => { tip.hidden = true; view.cursor = null; paint(); });
chart.addEventListener("wheel", event => {
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const by = (event.deltaX || event.deltaY) / scale();
    event.preventDefault();
    show(view.from + by, view.to + by);
  } else if (!event.altKey) {
    event.preventDefault();
    zoom(Math.exp(Math.max(-300, Math.min(300, event.deltaY)) * 0.0022), timeOf(Math.max(LEFT, event.offsetX)));
  }
}, { passive: false });

// The window over the whole run: drag it, or an edge of it; click beside it to jump.
let slide = null;
overview.addEventListener("pointerdown", event => {
  const room = overview.clientWidth - LEFT - RIGHT, time = x => (x - LEFT) / room * END;
  const x = event.offsetX, x0 = LEFT + view.from / END * room, x1 = LEFT + view.to / END * room;
  const span = view.to - view.from;
  if (Math.abs(x - x0) < 6) slide = to => show(Math.min(time(to), view.to - SPAN_LEAST), view.to);
  else if (Math.abs(x - x1) < 6) slide = to => show(view.from, Math.max(time(to), view.from + SPAN_LEAST));
  else {
    if (x < x0 || x > x1) show(time(x) - span / 2, time(x) + span / 2);
    const grip = time(x) - view.from;
    slide = to => show(time(to) - grip, time(to) - grip + span);
  }
  overview.setPointerCapture(event.pointerId);
});
overview.addEventListener("pointermove", event => { if (slide) slide(event.offsetX); });
overview.addEventListener("pointerup", () => { slide = null; });

function find() {
  const wanted = search.value.trim().toLowerCase();
  view.hits = [];
  view.hit = -1;
  if (wanted) {
    const match = m.strings.map(text => text.toLowerCase().includes(wanted));
    for (let n = 0; n < m.count && view.hits.length < HITS_MOST; n++) if (m.word[n] >= 0 && match[m.word[n]]) view.hits.push(n);
  }
  found.textContent = wanted ? (view.hits.length === HITS_MOST ? HITS_MOST + "+" : view.hits.length) + " found" : "";
  paint();
}

function nextHit(step) {
  if (!view.hits.length) return;
  view.hit = view.hit < 0 ? (step > 0 ? 0 : view.hits.length - 1) : (view.hit + step + view.hits.length) % view.hits.length;
  const n = view.hits[view.hit];
  found.textContent = (view.hit + 1) + " of " + view.hits.length;
  goTo(m.at[n]);
  list(m.at[n], m.lane[n] || -1);
}

// The next of some times after the middle of the view, around the run's end if need be.
function next(times, step) {
  if (!times.length) return;
  const sorted = [...times].sort((a, b) => a - b), middle = (view.from + view.to) / 2;
  const after = sorted.filter(t => step > 0 ? t > middle + 1 : t < middle - 1);
  goTo(step > 0 ? after[0] ?? sorted[0] : after[after.length - 1] ?? sorted[sorted.length - 1]);
}

const keys = {
  "ArrowLeft": far => { const by = (view.to - view.from) * (far ? 0.9 : 0.15); show(view.from - by, view.to - by); },
  "ArrowRight": far => { const by = (view.to - view.from) * (far ? 0.9 : 0.15); show(view.from + by, view.to + by); },
  "+": () => zoom(0.6, (view.from + view.to) / 2), "=": () => zoom(0.6, (view.from + view.to) / 2),
  "-": () => zoom(1.7, (view.from + view.to) / 2),
  "0": () => show(0, END), "Home": () => show(0, view.to - view.from), "End": () => show(END - (view.to - view.from), END),
  "v": () => next(data.violations.map(v => v.at), 1), "V": () => next(data.violations.map(v => v.at), -1),
  "f": () => next(data.faults.map(f => f.from), 1), "F": () => next(data.faults.map(f => f.from), -1),
  "n": () => nextHit(1), "N": () => nextHit(-1),
  "/": () => search.focus(), "?": () => legend.showModal(),
  "d": () => { chosenScheme = true; scheme(!document.documentElement.classList.contains("dark")); remember(); },
  "Escape": () => { side.hidden = true; tip.hidden = true; search.value = ""; find(); chart.focus(); },
};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || legend.open) return;
  if (event.target === search) {
    if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") keys.Escape();
    return;
  }
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act(event.shiftKey);
});
search.addEventListener("input", find);
document.getElementById("whole").onclick = keys["0"];
document.getElementById("red").onclick = keys.v;
document.getElementById("red").disabled = !data.violations.length;
document.getElementById("scheme").onclick = keys.d;
document.getElementById("help").onclick = keys["?"];
document.getElementById("close").onclick = () => { side.hidden = true; paint(); };
addEventListener("hashchange", fromAddress);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => { if (!chosenScheme) scheme(event.matches); });
new ResizeObserver(paint).observe(stage);

document.getElementById("title").textContent = data.scenario + ", seed " + data.seed;
const facts = document.getElementById("facts"), red = document.createElement("b");
red.textContent = data.violations.length ? data.violations[0].id + " broken at " + seconds(data.violations[0].at) : "";
facts.append(red, (red.textContent ? " · " : "") + data.nodes + " nodes · " + data.faults.length + " faults · " + seconds(END, 1) + " · " +
  m.count.toLocaleString("en") + " happenings · trace " + data.trace.slice(0, 8));
document.getElementById("cut").textContent = data.cut;
document.getElementById("cut").hidden = !data.cut;
fromAddress();
