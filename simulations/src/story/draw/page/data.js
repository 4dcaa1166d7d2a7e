// The packed story, unpacked into columns, and what is looked up by time.

const SENT = 0, FAULT = 1, PROCESS = 2, LEADER = 3, LEDGER = 4, ROUND = 5, KEYS = 6, EDGE = 7, LOG = 8;
// What is said of a process ends it, starts it, or (2) neither.
const ENDS = 0, STARTS = 1;
const KIND_NAMES = ["message", "fault", "process", "leader", "ledger", "round", "keys", "edge", "log"];

// Columns: `a` and `b` mean what the kind says (receiver and bytes; up; term; size; epoch),
// `word` is a place in the table of strings or -1, `arrives` is -1 for what is lost.
function unpack(data) {
  const text = atob(data.packed), count = data.happenings;
  let place = 0;
  // Numbers may exceed 32 bits, so no shifts.
  const number = () => {
    let value = 0, scale = 1;
    for (;;) {
      const byte = text.charCodeAt(place++);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  const m = {
    count, lanes: data.lanes, strings: data.strings,
    kind: new Uint8Array(count), lane: new Uint16Array(count), at: new Float64Array(count),
    a: new Float64Array(count), b: new Float64Array(count),
    word: new Int32Array(count).fill(-1), arrives: new Float64Array(count).fill(-1),
  };
  let now = 0;
  for (let n = 0; n < count; n++) {
    const kind = m.kind[n] = number();
    m.lane[n] = number();
    now += number();
    m.at[n] = now;
    if (kind === SENT) {
      m.a[n] = number();
      m.b[n] = number();
      const takes = number();
      if (takes > 0) m.arrives[n] = now + takes - 1;
    } else if (kind === KEYS) {
      m.a[n] = number();
    } else {
      m.word[n] = number();
      if (kind === PROCESS || kind === LEADER || kind === LEDGER) m.a[n] = number();
    }
  }
  return m;
}

// First place in a sorted list whose value is not below `value`.
function lower(list, value, key = x => x) {
  let low = 0, high = list.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (key(list[mid]) < value) low = mid + 1; else high = mid;
  }
  return low;
}

// Messages that are under way longer than this are looked up apart from the others, so that one
// that waited for a minute does not make every picture search a minute back.
const LONG_MS = 2000;

// What the pictures look up: places of messages, and for each lane its marks and states, by time.
function index(m, end) {
  const lanes = m.lanes.map(name => ({
    name, marks: [], logs: [], leader: [], keys: [], ledger: [], down: [], sent: [],
  }));
  const short = [], long = [], lost = [];
  let most = 1;
  const state = (list, at, value) => {
    const last = list[list.length - 1];
    // One that ended with its process stays ended.
    if (last && last.to === end) last.to = at;
    list.push({ ...value, at, to: end });
  };
  for (let n = 0; n < m.count; n++) {
    const lane = lanes[m.lane[n]], at = m.at[n];
    switch (m.kind[n]) {
      case SENT:
        (m.arrives[n] - at > LONG_MS ? long : short).push(n);
        if (m.arrives[n] < 0) lost.push(n);
        lane.sent.push(at);
        break;
      case LEADER: {
        const who = m.strings[m.word[n]], last = lane.leader[lane.leader.length - 1];
        if (!last || last.who !== who || last.term !== m.a[n]) state(lane.leader, at, { who, term: m.a[n], n });
        break;
      }
      case KEYS: state(lane.keys, at, { epoch: m.a[n], n }); break;
      case LEDGER:
        state(lane.ledger, at, { size: m.a[n], n });
        most = Math.max(most, m.a[n]);
        break;
      case PROCESS: {
        const last = lane.down[lane.down.length - 1];
        if (m.a[n] === STARTS) { if (last && last.to === end) last.to = at; }
        else if (m.a[n] === ENDS && (!last || last.to !== end)) lane.down.push({ at, to: end, n });
        // What a process knew ends with it.
        if (m.a[n] === ENDS) for (const list of [lane.leader, lane.keys]) {
          const open = list[list.length - 1];
          if (open && open.to === end) open.to = at;
        }
        lane.marks.push(n);
        break;
      }
      case LOG: lane.logs.push(n); break;
      default: lane.marks.push(n);
    }
  }
  return { lanes, short, long, lost, most };
}

// The last of the states that began by then, if it still lasts.
function stateAt(list, time) {
  const found = list[lower(list, time + 1e-9, s => s.at) - 1];
  return found && found.to >= time ? found : undefined;
}

function seconds(ms, digits = 3) { return (ms / 1000).toFixed(digits) + " s"; }

function size(bytes) {
  return bytes < 1024 ? bytes + " B" : bytes < 1048576 ? (bytes / 1024).toFixed(1) + " KiB" : (bytes / 1048576).toFixed(1) + " MiB";
}

function laneName(name) { return name || "world"; }

// One happening in words.
function say(m, n) {
  const word = m.word[n] < 0 ? "" : m.strings[m.word[n]];
  switch (m.kind[n]) {
    case SENT: {
      const way = m.arrives[n] < 0 ? "lost" : "arrives after " + (m.arrives[n] - m.at[n]) + " ms";
      return laneName(m.lanes[m.lane[n]]) + " → " + laneName(m.lanes[m.a[n]]) + ": " + size(m.b[n]) + ", " + way;
    }
    case LEADER: return (word || "nobody") + " leads, term " + m.a[n];
    case LEDGER: return "ledger: " + m.a[n] + " leaves, root " + word;
    case KEYS: return "key epoch " + m.a[n];
    default: return word;
  }
}
