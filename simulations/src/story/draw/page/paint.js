// The pictures. Everything is drawn anew for the visible stretch of time, which binary searches find.

const LEFT = 150, RIGHT = 14;
const FONT = "11px system-ui, 'DejaVu Sans', sans-serif", BOLD = "bold 12px system-ui, 'DejaVu Sans', sans-serif";
// Heights of a lane's rows; rows without content are left out.
const BAND = 15, KEYROW = 15, GRAPH = 26, MARKS = 17, LOGS = 9, WIRE = 18, GAP = 7;
// Height of a lane that has nothing but a name.
const NAMED = 16;
// Lines that may be drawn one by one; beyond, those of a pair of lanes that fall into the same few
// pixels become one.
const LINES_MOST = 900;

const chart = document.getElementById("chart"), overview = document.getElementById("overview");
const stage = document.getElementById("stage");
const data = JSON.parse(document.getElementById("data").textContent);
const m = unpack(data), by = index(m, data.end_ms);
const END = data.end_ms;
// The first violations have their words above the lanes.
const SPOKEN = Math.min(3, data.violations.length), AXIS = 26 + 20 * SPOKEN;

// From and to: virtual milliseconds; `cursor`: where the mouse is; `hits`: what the search found.
const view = { from: 0, to: END, cursor: null, hits: [], hit: -1, chosen: -1 };
let colours = {}, rows = [], height = 0, asked = false;

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "lane", "ink", "soft", "faint", "panel", "accent", "message", "lost", "fault", "red",
    "down", "round", "edge", "process", "log", "ledger", "keys1", "keys2", "calm", "hit"])
    colours[name] = style.getPropertyValue("--" + name).trim();
}

// Where each lane and its rows are, from top to bottom.
function layout() {
  let y = AXIS;
  rows = by.lanes.map((lane, index) => {
    const row = { lane, index, top: y };
    const take = (name, has, high) => { if (has) { row[name] = y; y += high; } };
    y += 4;
    take("band", lane.leader.length, BAND);
    take("keys", lane.keys.length, KEYROW);
    take("graph", lane.ledger.length, GRAPH);
    take("marks", lane.marks.length || data.faults.some(f => f.lanes.length === 0 && index === 0), MARKS);
    take("logs", lane.logs.length, LOGS);
    take("wire", true, index === 0 ? 4 : WIRE);
    // Its name needs room, also where nothing happens in it.
    if (index === 0) y = Math.max(y, row.top + NAMED);
    row.line = row.wire + 7;
    row.bottom = y;
    y += GAP;
    return row;
  });
  // With room to spare, lanes move apart: messages are easier to follow.
  const room = stage.clientHeight - y - 4;
  const spare = Math.max(0, Math.min(160, Math.floor(room / Math.max(1, rows.length - 1))));
  rows.forEach((row, n) => {
    if (n === 0) return;
    for (const key of ["top", "band", "keys", "graph", "marks", "logs", "wire", "line", "bottom"])
      if (row[key] !== undefined) row[key] += spare * (n - 1);
    row.bottom += spare;
  });
  height = rows[rows.length - 1].bottom + 6;
}

function fit(canvas, high) {
  const ratio = devicePixelRatio || 1, wide = canvas.clientWidth;
  if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    canvas.style.height = high + "px";
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [g, wide];
}

const scale = () => (chart.clientWidth - LEFT - RIGHT) / (view.to - view.from);
const xOf = time => LEFT + (time - view.from) * scale();
const timeOf = x => view.from + (x - LEFT) / scale();

// Asks for a picture at the next frame, however often it is asked.
function paint() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; paintNow(); });
}

function paintNow() {
  layout();
  const [g, wide] = fit(chart, height);
  g.fillStyle = colours.back;
  g.fillRect(0, 0, wide, height);
  g.font = FONT;
  g.textBaseline = "middle";
  g.save();
  g.beginPath();
  g.rect(LEFT, 0, wide - LEFT - RIGHT, height);
  g.clip();
  view.single = true;
  grounds(g, wide);
  faults(g);
  messages(g, wide);
  for (const row of rows) { wire(g, row, wide); bands(g, row); graph(g, row); ticks(g, row); marks(g, row); }
  captions(g);
  violations(g);
  g.restore();
  labels(g, wide);
  axis(g, wide);
  paintOverview();
}

// Visible part of a list of stretches that follow each other.
function visible(list) {
  const first = Math.max(0, lower(list, view.from, s => s.at) - 1);
  return list.slice(first, lower(list, view.to, s => s.at));
}

function grounds(g, wide) {
  for (const row of rows) {
    g.fillStyle = colours.lane;
    g.fillRect(LEFT, row.top, wide, row.bottom - row.top);
  }
  const calm = xOf(data.faults_ms);
  if (calm < wide && data.faults_ms < END) {
    g.fillStyle = colours.calm;
    for (const row of rows) g.fillRect(Math.max(LEFT, calm), row.top, wide, row.bottom - row.top);
    g.fillStyle = colours.soft;
    g.fillRect(calm, AXIS - 6, 1, height);
  }
  for (const row of rows) for (const part of row.lane.down) {
    if (part.to < view.from || part.at > view.to) continue;
    hatch(g, xOf(part.at), row.top, xOf(part.to), row.bottom, colours.down, 0.4);
  }
}

// Diagonal lines, from the visible part only.
function hatch(g, x0, y0, x1, y1, colour, alpha) {
  x0 = Math.max(x0, LEFT - 20);
  x1 = Math.max(Math.min(x1, chart.clientWidth), x0 + 2);
  g.save();
  g.beginPath();
  g.rect(x0, y0, x1 - x0, y1 - y0);
  g.clip();
  g.globalAlpha = alpha;
  g.strokeStyle = colour;
  g.beginPath();
  const high = y1 - y0, step = 7, phase = ((xOf(0) % step) + step) % step;
  for (let x = Math.floor((x0 - high) / step) * step + phase; x < x1 + step; x += step) { g.moveTo(x, y1); g.lineTo(x + high, y0); }
  g.stroke();
  g.restore();
}

// A colour for each leader; the golden angle keeps any number of them apart.
function hue(name) {
  const place = Math.max(0, m.lanes.indexOf(name));
  return (place * 137.5 + 190) % 360;
}

function bands(g, row) {
  const dark = document.documentElement.classList.contains("dark");
  const band = (list, y, high, colour, text) => {
    if (y === undefined) return;
    for (const part of visible(list)) {
      const x0 = Math.max(LEFT - 2, xOf(part.at)), x1 = xOf(part.to);
      const fill = colour(part);
      if (fill) {
        g.fillStyle = fill;
        g.fillRect(x0, y, Math.max(1, x1 - x0 - 1), high - 2);
      } else hatch(g, x0, y, x1, y + high - 2, colours.soft, 0.6);
      words(g, text(part), x0 + 5, y + high / 2 - 1, Math.min(x1, chart.clientWidth - RIGHT) - x0 - 8, dark ? "#fff" : fill ? "#fff" : colours.ink);
    }
  };
  band(row.lane.leader, row.band, BAND, p => p.who ? `hsl(${hue(p.who)} ${dark ? "40% 36%" : "48% 42%"})` : "",
    p => (p.who || "nobody") + " · term " + p.term);
  band(row.lane.keys, row.keys, KEYROW, p => p.epoch % 2 ? colours.keys1 : colours.keys2, p => "keys " + p.epoch);
}

// Text, if it fits.
function words(g, text, x, y, room, colour) {
  if (room < 14) return;
  if (g.measureText(text).width > room) {
    const last = text.split(" ").pop();
    if (g.measureText(last).width > room) return;
    text = last;
  }
  g.fillStyle = colour;
  g.fillText(text, x, y);
}

function graph(g, row) {
  if (row.graph === undefined) return;
  const list = row.lane.ledger, base = row.graph + GRAPH - 4;
  const y = leaves => base - (GRAPH - 8) * leaves / by.most;
  const first = Math.max(0, lower(list, view.from, s => s.at) - 1), after = lower(list, view.to, s => s.at);
  if (after === 0) return;
  g.beginPath();
  g.moveTo(xOf(list[first].at), base);
  let drawn = -1e9;
  for (let n = first; n < after; n++) {
    const x = xOf(list[n].at);
    // Steps within the same pixel are one, except the last.
    if (x - drawn < 0.7 && n + 1 < after) continue;
    g.lineTo(x, y(n > first ? list[n - 1].size : list[n].size));
    g.lineTo(x, y(list[n].size));
    drawn = x;
  }
  const x1 = Math.min(xOf(list[after - 1].to), chart.clientWidth);
  g.lineTo(x1, y(list[after - 1].size));
  g.strokeStyle = colours.ledger;
  g.lineWidth = 1.3;
  g.stroke();
  g.lineTo(x1, base);
  g.closePath();
  g.globalAlpha = 0.16;
  g.fillStyle = colours.ledger;
  g.fill();
  g.globalAlpha = 1;
  g.lineWidth = 1;
}

// Planned faults: a bar over each lane that they name.
function faults(g) {
  data.faults.forEach((fault, n) => {
    if (fault.to < view.from || fault.from > view.to) return;
    const x0 = xOf(fault.from), x1 = Math.max(xOf(fault.to), x0 + 2);
    for (const lane of fault.lanes) {
      const row = rows[lane];
      g.globalAlpha = n === view.fault ? 0.36 : 0.17;
      g.fillStyle = colours.fault;
      g.fillRect(x0, row.top, x1 - x0, row.bottom - row.top);
      g.globalAlpha = 1;
      g.fillRect(x0, row.top, x1 - x0, 3);
      g.fillRect(x0, row.top, 1, row.bottom - row.top);
    }
  });
}

// Their words, up to where the lane's next fault begins.
function captions(g) {
  for (const row of rows) {
    const here = data.faults.filter(f => f.lanes.includes(row.index));
    here.forEach((fault, n) => {
      const x0 = Math.max(LEFT, xOf(fault.from)) + 4;
      const end = Math.max(xOf(fault.to), LEFT + 90);
      const next = Math.min(n + 1 < here.length ? xOf(here[n + 1].from) : 1e9, chart.clientWidth - RIGHT);
      if (fault.to >= view.from && fault.from <= view.to) cutWords(g, fault.text, x0, row.bottom - 7, Math.min(next, Math.max(end, x0 + 320)) - x0 - 4, colours.ink);
    });
  }
}

// Places of the messages that are under way in the visible time.
function visibleMessages(each) {
  const at = n => m.at[n];
  const before = lower(by.short, view.from - LONG_MS, at), after = lower(by.short, view.to, at);
  for (let k = before; k < after; k++) {
    const n = by.short[k];
    if (m.at[n] >= view.from || m.arrives[n] >= view.from) each(n);
  }
  for (const n of by.long) if (m.at[n] <= view.to && m.arrives[n] >= view.from) each(n);
}

// Strengths of lines: all of one strength are one path, which is many times faster than one each.
const STRENGTHS = 4;
// Messages in view from which no lines are drawn but those of the lost: they would be a blot, and
// how many leave each lane is drawn anyway.
const BLOT = 40000;

function messages(g, wide) {
  let count = 0;
  visibleMessages(() => count++);
  view.single = count <= LINES_MOST;
  const strong = Array.from({ length: STRENGTHS }, () => []), lost = [], heads = count < 400 ? [] : null;
  if (view.single) visibleMessages(n => (m.arrives[n] < 0 ? lost : strong[STRENGTHS - 1]).push(n));
  else thin(wide, count, strong, lost);
  g.strokeStyle = colours.message;
  strong.forEach((list, strength) => {
    g.globalAlpha = view.single ? (heads ? 0.85 : 0.45) : 0.05 + 0.05 * strength;
    g.beginPath();
    for (const n of list) {
      g.moveTo(xOf(m.at[n]), rows[m.lane[n]].line);
      g.lineTo(xOf(m.arrives[n]), rows[m.a[n]].line);
      if (heads) heads.push(n);
    }
    g.stroke();
  });
  if (heads) arrowHeads(g, heads);
  g.strokeStyle = colours.lost;
  g.globalAlpha = view.single ? 0.85 : 0.5;
  g.beginPath();
  for (const n of lost) stub(g, n);
  g.stroke();
  g.globalAlpha = 1;
}

// One line for each pair of lanes and few pixels, stronger the more it stands for.
function thin(wide, count, strong, lost) {
  const lanes = rows.length, pairs = lanes * lanes * 2;
  const pixels = Math.max(3, Math.ceil((wide - LEFT) * pairs / 2 / (LINES_MOST * 4)));
  const cells = (Math.ceil((wide - LEFT) / pixels) + 2) * pairs;
  const first = new Int32Array(cells).fill(-1), counts = new Uint32Array(cells);
  let most = 1;
  const put = (n, gone) => {
    const column = Math.max(0, Math.floor((xOf(m.at[n]) - LEFT) / pixels) + 1);
    const cell = column * pairs + (m.lane[n] * lanes + m.a[n]) * 2 + gone;
    if (first[cell] < 0) first[cell] = n;
    most = Math.max(most, ++counts[cell]);
  };
  if (count > BLOT) {
    for (let k = lower(by.lost, view.from, n => m.at[n]); k < by.lost.length && m.at[by.lost[k]] <= view.to; k++) put(by.lost[k], 1);
  } else visibleMessages(n => put(n, m.arrives[n] < 0 ? 1 : 0));
  for (let cell = 0; cell < cells; cell++) {
    if (first[cell] < 0) continue;
    const strength = Math.min(STRENGTHS - 1, Math.floor(STRENGTHS * Math.log1p(counts[cell]) / Math.log1p(most + 1)));
    (cell % 2 ? lost : strong[strength]).push(first[cell]);
  }
}

// Only a stub with a cross: from afar long lines would be the loudest thing to see.
function stub(g, n) {
  const y0 = rows[m.lane[n]].line, x0 = xOf(m.at[n]), near = view.single;
  const y = y0 + Math.sign(rows[m.a[n]].line - y0) * (near ? 22 : 9), x = x0 + (near ? 5 : 0);
  g.moveTo(x0, y0); g.lineTo(x, y);
  if (near) { g.moveTo(x - 3, y - 3); g.lineTo(x + 3, y + 3); g.moveTo(x + 3, y - 3); g.lineTo(x - 3, y + 3); }
}

function arrowHeads(g, list) {
  g.fillStyle = colours.message;
  g.beginPath();
  for (const n of list) {
    const x0 = xOf(m.at[n]), x1 = xOf(m.arrives[n]), y0 = rows[m.lane[n]].line, y1 = rows[m.a[n]].line;
    const turn = Math.atan2(y1 - y0, x1 - x0);
    g.moveTo(x1, y1);
    g.lineTo(x1 - 7 * Math.cos(turn - 0.35), y1 - 7 * Math.sin(turn - 0.35));
    g.lineTo(x1 - 7 * Math.cos(turn + 0.35), y1 - 7 * Math.sin(turn + 0.35));
  }
  g.fill();
}

// Where messages leave and arrive; from afar, how many leave.
function wire(g, row, wide) {
  if (row.index === 0) return;
  g.fillStyle = colours.soft;
  g.fillRect(LEFT, row.line, wide, 1);
  if (view.single || !row.lane.sent.length) return;
  const step = 3, cells = Math.ceil((wide - LEFT) / step), counts = new Uint32Array(cells);
  const list = row.lane.sent;
  let most = 1;
  for (let k = lower(list, view.from), after = lower(list, view.to); k < after; k++) {
    const cell = Math.floor((xOf(list[k]) - LEFT) / step);
    most = Math.max(most, ++counts[cell]);
  }
  g.fillStyle = colours.message;
  g.globalAlpha = 0.75;
  g.beginPath();
  counts.forEach((count, cell) => { const up = 9 * Math.sqrt(count / most); g.rect(LEFT + cell * step, row.line - up, step - 0.5, up); });
  g.fill();
  g.globalAlpha = 1;
}

// Log lines, as a comb: darker where there are many.
function ticks(g, row) {
  if (row.logs === undefined) return;
  const list = row.lane.logs;
  g.fillStyle = colours.log;
  const first = lower(list, view.from, n => m.at[n]), after = lower(list, view.to, n => m.at[n]);
  let last = -1;
  for (let k = first; k < after; k++) {
    const x = Math.floor(xOf(m.at[list[k]]));
    if (x === last) continue;
    last = x;
    g.fillRect(x, row.logs, 1, LOGS - 3);
  }
}

const MARK = { [FAULT]: "fault", [PROCESS]: "process", [ROUND]: "round", [EDGE]: "edge" };

function marks(g, row) {
  const list = row.lane.marks;
  if (row.marks !== undefined) {
    const first = lower(list, view.from, n => m.at[n]), after = lower(list, view.to + 10 / scale(), n => m.at[n]);
    const y = row.marks + MARKS / 2 - 1, drawn = {};
    let free = -1e9;
    for (let k = first; k < after; k++) {
      const n = list[k], kind = m.kind[n], x = xOf(m.at[n]);
      if (x - (drawn[kind] ?? -9) < 2) continue;
      drawn[kind] = x;
      mark(g, kind, x, y);
      // A caption, if the next mark leaves room for it.
      const next = k + 1 < list.length ? xOf(m.at[list[k + 1]]) : 1e9;
      const text = m.strings[m.word[n]];
      if (next > x + 40 && x > free) {
        cutWords(g, text, x + 8, y, Math.min(next - 8, chart.clientWidth - RIGHT) - x - 8, colours.soft);
        free = Math.min(x + 8 + g.measureText(text.slice(0, 90)).width, next - 8);
      }
    }
  }
  for (const n of view.hits) if (m.lane[n] === row.index && m.at[n] >= view.from && m.at[n] <= view.to) {
    g.fillStyle = colours.hit;
    g.globalAlpha = n === view.hits[view.hit] ? 0.9 : 0.35;
    g.fillRect(xOf(m.at[n]) - 1, row.top, 2, row.bottom - row.top);
    g.globalAlpha = 1;
  }
}

// Text, cut to its room, legible over whatever is there; a few letters say nothing.
function cutWords(g, text, x, y, room, colour) {
  if (text.length > 90) text = text.slice(0, 90) + "…";
  if (g.measureText(text).width > room) {
    if (room < 64) return;
    const letters = Math.floor(text.length * room / g.measureText(text).width) - 1;
    text = text.slice(0, letters) + "…";
  }
  g.lineWidth = 3;
  g.lineJoin = "round";
  g.strokeStyle = colours.lane;
  g.strokeText(text, x, y);
  g.lineWidth = 1;
  g.fillStyle = colour;
  g.fillText(text, x, y);
}

function mark(g, kind, x, y) {
  g.fillStyle = colours[MARK[kind]] || colours.soft;
  g.beginPath();
  if (kind === ROUND) { g.moveTo(x, y - 5); g.lineTo(x + 5, y); g.lineTo(x, y + 5); g.lineTo(x - 5, y); }
  else if (kind === FAULT) { g.moveTo(x, y - 5); g.lineTo(x + 5, y + 4); g.lineTo(x - 5, y + 4); }
  else if (kind === EDGE) g.rect(x - 3.5, y - 3.5, 7, 7);
  else g.arc(x, y, 4.5, 0, 7);
  g.fill();
}

function violations(g) {
  data.violations.forEach((v, n) => {
    if (v.at < view.from || v.at > view.to) return;
    const x = xOf(v.at), y = 30 + 20 * Math.min(n, SPOKEN - 1);
    g.fillStyle = colours.red;
    g.fillRect(x - 1, y - 6, 2.5, height);
    if (n >= SPOKEN) return;
    let text = v.id + ": " + v.text;
    if (text.length > 150) text = text.slice(0, 149) + "…";
    g.font = BOLD;
    const wide = g.measureText(text).width + 12, edge = chart.clientWidth - RIGHT;
    // On the side where there is room.
    const left = Math.max(LEFT, x + wide <= edge ? x : x - wide >= LEFT ? x - wide : edge - wide);
    g.fillRect(left, y - 9, wide, 18);
    g.fillStyle = "#fff";
    g.fillText(text, left + 6, y);
    g.font = FONT;
  });
}

