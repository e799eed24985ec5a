// What the page was given, the log's clock, and numbers as text.

const given = JSON.parse(document.getElementById("data").textContent);

function decode(text, Kind) {
  if (text === null) return null;
  return new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

const bins = {
  time: decode(given.bins.time, Float64Array),
  apart: decode(given.bins.apart, Uint8Array),
  rows: decode(given.bins.rows, Uint32Array),
  anomalies: decode(given.bins.anomalies, Uint32Array),
  score: curveOf(given.bins.score),
  severity: decode(given.bins.severity, Float32Array),
};

/** The lowest and highest values of bins; one array serves as both where all bins are single rows. */
function curveOf(stored) {
  const low = decode(stored.low, Float32Array);
  return { low, high: stored.high === null ? low : decode(stored.high, Float32Array) };
}

/** What was expected, the normal band around it, and how far values lie outside; null if unknown. */
function expectedOf(stored) {
  if (stored === null) return { expected: null, band: null, outside: null };
  return {
    expected: curveOf(stored.curve),
    band: curveOf(stored.band),
    outside: decode(stored.outside, Float32Array),
  };
}

const sensors = given.sensors.map((sensor) => {
  let decoded = null; // most panels are never looked at
  return {
    ...sensor,
    get values() {
      decoded ??= { actual: curveOf(sensor.curve), ...expectedOf(sensor.expected) };
      return decoded;
    },
  };
});

// time

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const clock = given.clock; // origin in milliseconds, or a count
const zoneFormat = clock.zone === null ? null : zoned(clock.zone);

function zoned(timeZone) {
  const parts = { year: "numeric", month: "numeric", day: "numeric" };
  Object.assign(parts, { hour: "numeric", minute: "numeric", second: "numeric" });
  try {
    return new Intl.DateTimeFormat("en-GB", { ...parts, hourCycle: "h23", timeZone });
  } catch {
    return null; // a zone that this browser does not know: UTC, as for times without one
  }
}

/** A distance from the origin as milliseconds on the clock on the wall. */
function wallTime(distance) {
  const instant = clock.origin + distance * SECOND;
  if (zoneFormat === null) return instant;
  const named = Object.fromEntries(
    zoneFormat.formatToParts(instant).map((part) => [part.type, Number(part.value)]),
  );
  const { year, month, day, hour, minute, second } = named;
  const whole = Math.floor(instant / SECOND) * SECOND;
  return Date.UTC(year, month - 1, day, hour, minute, second) + (instant - whole);
}

const two = (number) => String(number).padStart(2, "0");
const isoDate = (at) => `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;

/** The time of day, as finely as a step in milliseconds deserves. */
function timeOfDay(wall, step) {
  const at = new Date(wall);
  const text = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  if (step >= MINUTE) return text;
  const seconds = ((wall % MINUTE) + MINUTE) % MINUTE / SECOND;
  const digits = step >= SECOND ? 0 : Math.min(6, Math.ceil(-Math.log10(step / SECOND)));
  const shown = (Math.floor(seconds * 10 ** digits + 1e-3) / 10 ** digits).toFixed(digits);
  return `${text}:${shown.padStart(digits ? digits + 3 : 2, "0")}`;
}

/** A point of time, or a count: as finely as the log's steps and a span to look at deserve. */
function moment(distance, span) {
  if (!clock.in_seconds) return number(clock.origin + distance, 9);
  const wall = wallTime(distance);
  const date = isoDate(new Date(wall));
  if (clock.kind === "date") return date;
  const step = Math.max((span * SECOND) / 1000, clock.step * SECOND);
  return `${date} ${timeOfDay(wall, step)}`;
}

/** A length on the clock in words. */
function length(distance) {
  if (!clock.in_seconds) return `${number(distance)} ${clock.noun}s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1], ["ms", 1e-3]];
  const place = units.findIndex(([, unit]) => distance >= unit * 0.9995);
  if (place < 0) return `${number(distance * 1e6, 3)} µs`;
  const [name, unit] = units[place];
  if (unit <= 1) return `${number(distance / unit, 3)} ${name}`;
  const [smaller, less] = units[place + 1];
  const filled = Math.round(distance / less);
  const rest = filled % (unit / less);
  return `${Math.floor(filled / (unit / less))} ${name}${rest ? ` ${rest} ${smaller}` : ""}`;
}

// numbers

function number(value, digits = 4) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(Math.max(digits - 2, 0));
  return value.toLocaleString("en-GB", { maximumSignificantDigits: digits });
}

/** Round numbers between two ends, about so many. */
function roundNumbers(low, high, about) {
  const rough = (high - low) / Math.max(about, 1);
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

const STEPS = [1, 2, 5, 10, 15, 30].map((n) => n * SECOND)
  .concat([1, 2, 5, 10, 15, 30].map((n) => n * MINUTE), [1, 2, 3, 6, 12].map((n) => n * HOUR))
  .concat([1, 2, 7, 14].map((n) => n * DAY));
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** Ticks of the time axis: where, what is written, and what is written below if that has changed. */
function clockTicks(from, to, about) {
  if (!clock.in_seconds) {
    return roundNumbers(clock.origin + from, clock.origin + to, about).map((count) => (
      { at: count - clock.origin, text: number(count, 9), below: "" }));
  }
  const [first, last] = [wallTime(from), wallTime(to)];
  // a change of summer time within the view moves ticks by an hour; their texts stay true
  const shift = wallTime((from + to) / 2) - clock.origin - ((from + to) / 2) * SECOND;
  const rough = (last - first) / about;
  const walls = rough > 14 * DAY ? months(first, last, rough)
    : rough < SECOND ? roundNumbers(first % DAY, (first % DAY) + last - first, about)
      .map((wall) => wall + first - (first % DAY))
      : even(first, last, STEPS.find((step) => step >= rough));
  const step = walls.length > 1 ? walls[1] - walls[0] : last - first;
  let before = "";
  return walls.map((wall) => {
    const distance = (wall - shift - clock.origin) / SECOND;
    const at = new Date(wallTime(distance));
    const day = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
    const year = String(at.getUTCFullYear());
    const [text, below] = rough > 14 * DAY ? [MONTHS[at.getUTCMonth()], year]
      : step >= DAY ? [day, year] : [timeOfDay(at.getTime(), step), `${day} ${year}`];
    const tick = { at: distance, text, below: below === before ? "" : below };
    before = below;
    return tick;
  });
}

function even(first, last, step) {
  const found = [];
  for (let wall = Math.ceil(first / step) * step; wall <= last; wall += step) found.push(wall);
  return found;
}

function months(first, last, rough) {
  const every = [1, 2, 3, 6, 12, 24, 60, 120].find((n) => n * 30 * DAY >= rough) ?? 240;
  const found = [];
  const at = new Date(first);
  let month = Math.ceil((at.getUTCFullYear() * 12 + at.getUTCMonth()) / every) * every;
  for (;;) {
    const wall = Date.UTC(Math.floor(month / 12), month % 12, 1);
    if (wall > last) return found;
    if (wall >= first) found.push(wall);
    month += every;
  }
}
