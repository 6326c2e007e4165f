import assert from "node:assert/strict";
import { test } from "node:test";

import { Exact, JsonError, parse, parseBody, stringify } from "../../../../router/dashboard/static/js/core/json.js";

test("numbers that a double would change are kept as they were written", () => {
  const text = '{"id":18446744073709551615,"price":1.0,"small":1e-7,"n":3,"minus":-0}';
  const value = parse(text);
  assert.ok(value.id instanceof Exact);
  assert.equal(Number(value.price), 1);
  assert.equal(value.n, 3);
  assert.equal(stringify(value), text);
});

test("what JSON.parse reads, we read alike", () => {
  const texts = ["null", " true ", "[]", "{}", '[1,[2,{"a":null}],"x"]', '"\\u00e9\\n\\"\\ud83d\\ude00"', "-12.5", "1e3",
    '{"":0,"a b":{"c":[false]}}', '"<script>"'];
  for (const text of texts) {
    assert.deepEqual(JSON.parse(stringify(parse(text))), JSON.parse(text));
  }
});

test("what JSON.parse refuses, we refuse, and say where", () => {
  const cases = [["", 0], ["{", 0], ["[1,]", 3], ['{"a" 1}', 5], ["{a:1}", 1], ["[1 2]", 3], ['"a\nb"', 0], ["01", 1],
    ["1 2", 2], ["tru", 0], ["[1", 0], ['{"a":}', 5], ["nan", 0], ['"\\x"', 0], ["-", 0], ["\u00a01", 0]];
  for (const [text, offset] of cases) {
    assert.throws(() => JSON.parse(text), SyntaxError, text);
    assert.throws(() => parse(text), (error) => error instanceof JsonError && error.offset === offset, text);
  }
  assert.throws(() => parse('{\n  "a": 1,\n  b\n}'), { line: 3, column: 3, reason: "expected a key in quotes" });
});

test("no depth of nesting ends in anything but an error", () => {
  assert.throws(() => parse("[".repeat(100_000)), JsonError);
});

test("a key called __proto__ is a key", () => {
  const value = parse('{"__proto__":{"polluted":1}}');
  assert.equal({}.polluted, undefined);
  assert.equal(stringify(value), '{"__proto__":{"polluted":1}}');
});

test("bodies keep integers that a double cannot hold, wherever they stand", () => {
  for (const text of ['{"id":9007199254740993}', "[9007199254740993]", '{"a": 9007199254740993 ,"b":[0.1]}']) {
    assert.equal(stringify(parseBody(text)).replaceAll(" ", ""), text.replaceAll(" ", ""));
  }
  assert.equal(typeof parseBody("[1.0]")[0], "number");
});

test("formatted text is broken where it is long, and means the same", () => {
  const value = { vector: [0.5, 1, 2], nested: { deep: [{ a: 1 }], none: [] }, long: Array.from({ length: 60 }, (_, at) => at) };
  const text = stringify(value, 2);
  assert.deepEqual(JSON.parse(text), value);
  assert.ok(text.includes('"vector": [0.5, 1, 2]'));
  assert.ok(text.split("\n").length > 60);
});
