// What stands around the lanes: their names, the axis of time, the whole run in small.

// Names of the lanes with their states at the cursor, or at the right edge.
function labels(g, wide) {
  const time = view.cursor === null ? view.to : view.cursor;
  g.fillStyle = colours.back;
  g.fillRect(0, 0, LEFT, height);
  for (const row of rows) {
    g.font = BOLD;
    g.fillStyle = colours.ink;
    g.fillText(laneName(row.lane.name), 12, row.top + 11);
    g.font = FONT;
    g.fillStyle = colours.soft;
    const down = row.lane.down.some(part => part.at <= time && part.to > time);
    const note = (y, text) => { if (y !== undefined) g.fillText(text, 68, y); };
    if (down) { g.fillStyle = colours.red; g.fillText("down", 100, row.top + 11); g.fillStyle = colours.soft; }
    const leader = stateAt(row.lane.leader, time), keys = stateAt(row.lane.keys, time), ledger = stateAt(row.lane.ledger, time);
    if (!down && leader) note(row.band + BAND / 2 - 1, (leader.who === row.lane.name ? "★ leads" : leader.who ? "" : "nobody") + " t" + leader.term);
    if (!down && keys) note(row.keys + KEYROW / 2 - 1, "keys " + keys.epoch);
    if (ledger) note(row.graph + GRAPH / 2, ledger.size + " leaves");
    if (row.logs !== undefined) note(row.logs + 3, "log");
  }
  g.fillStyle = colours.faint;
  g.fillRect(LEFT - 1, AXIS, 1, height);
}

// Round steps of time, about a hundred pixels apart.
function axis(g, wide) {
  g.fillStyle = colours.back;
  g.fillRect(LEFT - 40, 0, wide, 20);
  const want = 110 / scale();
  const unit = 10 ** Math.floor(Math.log10(want));
  const step = [1, 2, 5, 10].map(k => k * unit).find(s => s >= want);
  const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : step >= 1 ? 3 : 4;
  for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) {
    const x = xOf(time);
    g.fillStyle = colours.soft;
    g.fillText(seconds(time, digits), x + 4, 11);
    g.fillStyle = colours.faint;
    g.globalAlpha = 0.4;
    g.fillRect(x, 4, 1, height);
    g.globalAlpha = 1;
  }
  if (view.cursor !== null && view.cursor >= view.from && view.cursor <= view.to) {
    const x = xOf(view.cursor), text = seconds(view.cursor, Math.min(4, digits + 2));
    g.fillStyle = colours.accent;
    g.fillRect(x, 0, 1, height);
    const room = g.measureText(text).width + 10, left = Math.min(x, wide - room);
    g.fillRect(left, 2, room, 18);
    g.fillStyle = colours.back;
    g.fillText(text, left + 5, 11);
  }
}

// The whole run, small: how much was sent, faults, violations, and the window.
let traffic = null;
function paintOverview() {
  const high = 46, [g, wide] = fit(overview, high);
  const room = wide - LEFT - RIGHT, x = time => LEFT + time / END * room;
  g.fillStyle = colours.back;
  g.fillRect(0, 0, wide, high);
  g.fillStyle = colours.lane;
  g.fillRect(LEFT, 4, room, high - 8);
  if (!traffic || traffic.length !== Math.ceil(room / 2)) {
    traffic = new Float64Array(Math.max(1, Math.ceil(room / 2)));
    for (let n = 0; n < m.count; n++) if (m.kind[n] === SENT) traffic[Math.min(traffic.length - 1, Math.floor(m.at[n] / END * traffic.length))]++;
  }
  let most = 1;
  for (const value of traffic) most = Math.max(most, value);
  g.fillStyle = colours.message;
  g.globalAlpha = 0.6;
  g.beginPath();
  traffic.forEach((value, k) => { const up = (high - 14) * Math.sqrt(value / most); g.rect(LEFT + k * 2, high - 4 - up, 2, up); });
  g.fill();
  g.fillStyle = colours.fault;
  g.globalAlpha = 0.9;
  for (const fault of data.faults) g.fillRect(x(fault.from), 4, Math.max(2, x(fault.to) - x(fault.from)), 4);
  g.globalAlpha = 1;
  g.fillStyle = colours.hit;
  for (const n of view.hits) g.fillRect(x(m.at[n]), 9, 1, 6);
  g.fillStyle = colours.red;
  for (const v of data.violations) g.fillRect(x(v.at) - 1, 2, 3, high - 4);
  const x0 = x(view.from), x1 = Math.max(x(view.to), x0 + 4);
  g.fillStyle = colours.back;
  g.globalAlpha = 0.62;
  g.fillRect(LEFT, 4, x0 - LEFT, high - 8);
  g.fillRect(x1, 4, LEFT + room - x1, high - 8);
  g.globalAlpha = 1;
  g.strokeStyle = colours.accent;
  g.lineWidth = 2;
  g.strokeRect(x0, 3, x1 - x0, high - 6);
  g.lineWidth = 1;
  g.font = FONT;
  g.textBaseline = "middle";
  g.fillStyle = colours.soft;
  g.fillText("whole run", 12, 16);
  g.fillText(seconds(END, 1), 12, 31);
}
